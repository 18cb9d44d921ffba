"""Codes on a grid: what equals the vector case, what is a sum over sites, and what is refused."""

from __future__ import annotations

import pytest
import torch

from vae_lightning.capabilities import KL_PER_DIMENSION
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.evaluation.latent_scale import scaling_factor
from vae_lightning.models.architectures import MLP, Architecture, Conv, ResNet, UNetKL
from vae_lightning.models.conditions import Label
from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.distributions.divergence import kl_divergence
from vae_lightning.models.distributions.sites import Sites
from vae_lightning.models.grids import ToGrid
from vae_lightning.models.hierarchies import TwoLayer
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import CategoricalPosterior, Diagonal, Joint, PointMass, Posterior
from vae_lightning.models.priors import GaussianMixture, NormalizingFlow, Prior, StandardNormal, VampPrior
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, StreamNoise, UnbatchedNoise
from vae_lightning.objectives.terms import elbo_terms

ARCHITECTURES = [Conv([3, 4], 6), Conv([3, 4], [6, 5], "gated", kernel=4), ResNet([3, 4]), UNetKL([4, 8], groups=2)]
NAMES = ["conv", "conv, gated", "resnet", "unet_kl"]


def noise(seed: int = 1) -> StreamNoise:
    return StreamNoise(torch.Generator(), seed)


def made(architecture: Architecture, posterior: Posterior, prior: Prior, shape: tuple[int, int, int] = (1, 8, 12)) -> VAE:
    return VAE(architecture, posterior, prior, Bernoulli(shape)).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_a_grid_of_one_site_is_the_vector_case(architecture: Architecture) -> None:
    """The same seed gives the same weights, so the same loss and gradient; the networks differ in rounding alone."""
    losses, gradients, samples = [], [], []
    for grid in (None, (1, 1)):
        torch.manual_seed(3)
        vae = made(architecture, Diagonal(5, grid), GaussianMixture(5, 3, grid=grid), (1, 4, 4))
        x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round()
        loss = vae.elbo(x, noise=noise()).loss
        loss.backward()
        losses.append(loss)
        gradients.append(torch.cat([p.grad.flatten() for p in vae.parameters() if p.grad is not None]))
        samples.append(vae.sample(7, noise()))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(samples[0], samples[1], rtol=1e-5, atol=1e-6)


def test_distributions_of_one_site_are_those_of_vectors_bit_for_bit() -> None:
    features = torch.randn(4, 10)
    q, on_grid = Diagonal(5)(features), Diagonal(5, (1, 1))(features)
    assert torch.equal(q.rsample((3,), noise()), on_grid.rsample((3,), noise()))
    for kind in (StandardNormal, GaussianMixture, NormalizingFlow):
        torch.manual_seed(0)
        p = kind(5)()
        torch.manual_seed(0)
        p_on_grid = kind(5, grid=(1, 1))()
        z = p.rsample((3, 4), noise())
        assert torch.equal(z, p_on_grid.rsample((3, 4), noise()))
        assert torch.equal(p.log_prob(z), p_on_grid.log_prob(z))
        assert torch.equal(kl_divergence(q, p, q.mean), kl_divergence(on_grid, p_on_grid, on_grid.mean))


def test_the_kl_is_the_sum_over_sites_and_channels() -> None:
    vae = made(Conv([3, 4], 6), Diagonal(5, (2, 3)), StandardNormal(5, (2, 3)))
    x = torch.rand(4, 1, 8, 12).round()
    q = vae.encode(x)
    assert vae.code_shape == (5, 2, 3)
    mean, scale = q.mean.view(-1, 5, 2, 3), q.stddev.view(-1, 5, 2, 3)  # type: ignore[attr-defined]
    by_hand = (0.5 * (mean**2 + scale**2 - 1) - scale.log()).sum((1, 2, 3))
    torch.testing.assert_close(elbo_terms(vae, x).kl, by_hand, rtol=1e-5, atol=1e-6)
    per = kl_per_dimension(q, vae.prior())
    assert per is not None
    sites = [
        kl_divergence(
            Diagonal(5)(torch.cat([mean[..., i, j], 2 * scale[..., i, j].log()], -1)), StandardNormal(5)(), mean[..., i, j]
        )
        for i in range(2)
        for j in range(3)
    ]
    torch.testing.assert_close(torch.stack(sites, -1).view(-1, 2, 3), per.view(-1, 5, 2, 3).sum(1), rtol=1e-5, atol=1e-6)


def test_a_site_of_the_code_sees_its_part_of_the_image_and_no_more() -> None:
    """Without a fully connected layer, a change in one corner leaves the code of the far corner as it is."""
    for architecture in (Conv([3, 4], 6), ResNet([3, 4])):
        vae = made(architecture, Diagonal(2, (8, 8)), StandardNormal(2, (8, 8)), (1, 32, 32))
        x = torch.rand(1, 1, 32, 32)
        other = x.clone()
        other[..., :4, :4] = 1 - other[..., :4, :4]
        changed = (vae.encode(x).mean != vae.encode(other).mean).view(2, 8, 8).any(0)
        assert changed[0, 0]
        assert not changed[6:].any()
        assert not changed[:, 6:].any()
        z = torch.randn(1, 2, 8, 8)
        moved = z.clone()
        moved[..., 0, 0] += 1
        differ = (vae.decode(z.flatten(1)).mean != vae.decode(moved.flatten(1)).mean)[0, 0]
        assert differ[:4, :4].any()
        assert not differ[24:].any()


def test_the_mixture_is_the_same_at_each_site() -> None:
    torch.manual_seed(0)
    prior = GaussianMixture(3, 4, spread=2.0, grid=(2, 3))
    one = GaussianMixture(3, 4)
    one.load_state_dict(prior.state_dict())
    z = prior().rsample((7,), noise())
    by_site = sum(one().log_prob(z.view(7, 3, 2, 3)[..., i, j]) for i in range(2) for j in range(3))
    torch.testing.assert_close(prior().log_prob(z), by_site)
    many = prior().rsample((40_000,), noise()).detach().view(-1, 3, 6)
    expected = one().mean
    torch.testing.assert_close(many.mean(0), expected[:, None].expand(3, 6), atol=0.06, rtol=0)
    torch.testing.assert_close(prior().mean.view(3, 6), expected[:, None].expand(3, 6))
    centred = many - many.mean(0)
    assert float((centred[:, 0, 0] * centred[:, 0, 5]).mean().abs()) < 0.1  # sites are drawn independently
    assert KL_PER_DIMENSION not in prior.capabilities


def test_draws_of_sites_with_noise_of_an_example_do_not_depend_on_its_batch() -> None:
    p = GaussianMixture(3, 4, grid=(2, 3))()
    assert isinstance(p, Sites)
    both = p.rsample((5, 2), UnbatchedNoise(ExampleNoise(torch.tensor([8, 9]), 0)))
    alone = p.rsample((5, 1), UnbatchedNoise(ExampleNoise(torch.tensor([9]), 0)))
    assert torch.equal(both[:, 1:], alone)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
@pytest.mark.parametrize("size", [(4, 4), (12, 8), (28, 28), (64, 32)])
def test_any_size_that_the_strides_divide(architecture: Architecture, size: tuple[int, int]) -> None:
    grid = (size[0] // 4, size[1] // 4)
    for posterior in (Diagonal(3, grid), PointMass(3, grid)):
        vae = made(architecture, posterior, StandardNormal(3, grid), (3, *size))
        assert vae.encode(torch.rand(2, 3, *size)).mean.shape == (2, 3 * grid[0] * grid[1])
        assert vae.sample(2).shape == (2, 3, *size)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)
def test_strides_that_do_not_divide_are_one_sentence(architecture: Architecture) -> None:
    with pytest.raises(UserError, match=r"^posterior\.grid: an image of 30×28 cannot be halved 2 times without a remainder.*\.$"):
        made(architecture, Diagonal(2, (8, 7)), StandardNormal(2, (8, 7)), (1, 30, 28))


def test_grids_that_make_no_sense_are_refused() -> None:
    with pytest.raises(
        InvalidValue, match=r"^posterior\.grid=\[4,7\]: must be \[7,7\], what the model's downsampling makes of an image"
    ):
        made(Conv([3, 4], 6), Diagonal(2, (4, 7)), StandardNormal(2, (4, 7)), (1, 28, 28))
    with pytest.raises(UserError, match=r"^posterior\.grid=\[7,7\] is incompatible with this model, which has no grid of codes"):
        made(MLP([4]), Diagonal(2, (7, 7)), StandardNormal(2, (7, 7)), (1, 28, 28))
    with pytest.raises(UserError, match="its latents are 12 numbers"):
        made(Conv([3, 4], 6), Diagonal(2, (2, 3)), StandardNormal(2))
    with pytest.raises(UserError, match=r"^posterior\.grid is incompatible with hierarchy=two_layer"):
        TwoLayer().layers(Diagonal(2, (2, 3)), StandardNormal(2, (2, 3)))
    with pytest.raises(InvalidValue, match=r"^continuous\.grid=\[2,3\]: must be null"):
        Joint(Diagonal(2, (2, 3)), CategoricalPosterior())
    with pytest.raises(InvalidValue, match=r"^latent_dim=2000: must be at most 682 on this grid with prior=flow"):
        NormalizingFlow(2000, grid=(2, 3))
    for bad in (7, [7], [7, 0], [7, True], "auto", [7, 7, 7], [5000, 1]):
        with pytest.raises(InvalidValue, match=r"^grid=.*null, or \[height,width\] of 1 to 4096"):
            Diagonal(2, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("prior", ["mixture", "flow", "vamp"])
def test_every_weight_of_a_prior_on_a_grid_is_trained(prior: str) -> None:
    torch.manual_seed(0)
    grid = (2, 3)
    priors: dict[str, Prior] = {
        "mixture": GaussianMixture(2, 3, grid=grid),
        "flow": NormalizingFlow(2, "coupling", grid=grid),
        "vamp": VampPrior(12, (1, 8, 12), 0.5, 4),
    }
    vae = made(Conv([3, 4], 6), Diagonal(2, grid), priors[prior])
    x = torch.rand(50, 1, 8, 12).round()
    vae(x).loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in vae.parameters())


def test_labels_become_planes_beside_the_code() -> None:
    z = torch.arange(1.0, 15).view(1, 14)
    seen = ToGrid(2, (2, 3), 2)(z)
    assert torch.equal(seen[0, :2].flatten(), z[0, :12])
    assert torch.equal(seen[0, 2:], torch.tensor([13.0, 14.0])[:, None, None].expand(2, 2, 3))
    vae = VAE(ResNet([3, 4]), Diagonal(2, (2, 3)), StandardNormal(2, (2, 3)), Bernoulli((1, 8, 12)), Label(3)).eval()
    c = torch.tensor([0, 1, 2])
    code = torch.randn(1, 12).expand(3, -1)
    images = vae.decode(code, c).mean
    assert not torch.allclose(images[0], images[1])
    assert vae.elbo(torch.rand(3, 1, 8, 12).round(), c=c).loss.isfinite()


def test_the_scaling_factor_is_one_over_the_deviation_of_all_numbers() -> None:
    vae = made(Conv([3, 4], 6), PointMass(2, (2, 3)), StandardNormal(2, (2, 3)))
    images = Images(torch.randint(0, 256, (20, 1, 8, 12), dtype=torch.uint8), torch.zeros(20, dtype=torch.int64))
    factor, count = scaling_factor(vae, [images[torch.arange(10)], images[torch.arange(10, 20)]], "train")
    codes = vae.encode(images.images / 255).mean.detach()
    assert count == 20
    assert factor == pytest.approx(1 / float(codes.std(correction=0)), rel=1e-4)
