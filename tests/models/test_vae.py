from __future__ import annotations

import pytest
import torch
from torch import nn

import vae_lightning
from tests.linear_gaussian import LinearGaussian, random_images
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import MLP, Architecture, Conv, ResNet
from vae_lightning.models.architectures.layers import last_bias
from vae_lightning.models.likelihoods import Bernoulli, CategoricalLikelihood, Gaussian, Likelihood
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise

SHAPE = (2, 5, 3)


def vae_with(likelihood: Likelihood) -> VAE:
    return VAE(MLP([16]), Diagonal(4), StandardNormal(4), likelihood)


@pytest.mark.parametrize("likelihood", [Bernoulli(SHAPE), Gaussian(SHAPE)])
def test_shapes(likelihood: Likelihood) -> None:
    vae, x = vae_with(likelihood), random_images(6, SHAPE)
    q = vae.encode(x)
    assert (vae.latent_dim, vae.shape) == (4, SHAPE)
    assert (q.batch_shape, q.event_shape) == ((6,), (4,))
    for samples in ((), (3,), (2, 3)):
        p = vae.decode(q.rsample(samples))
        assert (p.batch_shape, p.event_shape) == ((*samples, 6), SHAPE)
        assert p.log_prob(x).shape == (*samples, 6)
    assert vae.reconstruct(x).shape == (6, *SHAPE)
    assert vae.sample(5).shape == (5, *SHAPE)


def test_samples_are_decoded_in_their_place() -> None:
    vae, z = vae_with(Bernoulli(SHAPE)), torch.randn(3, 6, 4)
    torch.testing.assert_close(vae.decode(z).mean[2, 4], vae.decode(z[2, 4:5]).mean[0])


def test_a_reconstruction_is_decoded_from_the_posterior_mean() -> None:
    exact = LinearGaussian()
    x = random_images(5)
    expected = exact.posterior(x).mean @ exact.weight.T + exact.bias
    torch.testing.assert_close(exact.vae.reconstruct(x).double().flatten(1), expected, atol=1e-5, rtol=0)


def test_samples_come_from_the_prior() -> None:
    exact = LinearGaussian()
    images = exact.vae.sample(20_000, StreamNoise(torch.Generator(), 0)).double().flatten(1)
    torch.testing.assert_close(images.mean(0), exact.bias, atol=0.03, rtol=0)
    torch.testing.assert_close(images.T.cov(), exact.weight @ exact.weight.T, atol=0.03, rtol=0)


def test_samples_are_a_function_of_their_noise() -> None:
    vae = vae_with(Bernoulli(SHAPE))
    first, again, other = (vae.sample(5, StreamNoise(torch.Generator(), seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("architecture", [MLP([16]), Conv([4], 8), ResNet([4])])
def test_it_starts_at_the_mean_image_or_at_the_mean_of_each_channel(architecture: Architecture) -> None:
    vae = VAE(architecture, Diagonal(4), StandardNormal(4), Bernoulli(SHAPE))
    mean_image = torch.rand(SHAPE)
    vae.start_from_mean_image(mean_image)
    bias = last_bias(vae.decoder)
    assert bias is not None
    expected = mean_image.flatten() if len(bias) == 30 else mean_image.mean((1, 2))
    torch.testing.assert_close(bias.sigmoid(), expected)
    assert bias.requires_grad
    assert (vae.sample(50).mean((0, 2, 3)) - mean_image.mean((1, 2))).abs().max() < 0.1


def test_a_start_at_the_mean_image_is_refused_where_it_cannot_be() -> None:
    class NoBias(MLP):
        def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
            return nn.Sequential(nn.Linear(latent_dim, 30, bias=False), nn.Unflatten(1, out_shape))

    class OtherBias(MLP):
        def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
            return nn.Sequential(nn.Linear(latent_dim, 7), nn.Linear(7, 30, bias=False), nn.Unflatten(1, out_shape))

    no_output = vae_with(CategoricalLikelihood(SHAPE))
    no_bias, other = (VAE(a, Diagonal(4), StandardNormal(4), Bernoulli(SHAPE)) for a in (NoBias([2]), OtherBias([2])))
    for vae in (no_output, no_bias, other):
        with pytest.raises(UserError, match=r"^likelihood\.bias_from_data=true: the decoder does not end in a layer"):
            vae.start_from_mean_image(torch.rand(SHAPE))


def test_pictures_carry_no_graph_and_weights_are_all_that_is_saved() -> None:
    vae = vae_with(Gaussian(SHAPE))
    assert not vae.sample(2).requires_grad
    assert not vae.reconstruct(random_images(2, SHAPE)).requires_grad
    assert set(vae.state_dict()) == {name for name, _ in vae.named_parameters()}
    assert {name.split(".")[0] for name in vae.state_dict()} == {"encoder", "decoder"}


def test_the_package_offers_its_vae() -> None:
    assert vae_lightning.VAE is VAE
    with pytest.raises(AttributeError, match="AVE"):
        _ = vae_lightning.AVE
