from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from tests.linear_gaussian import SHAPE, LinearGaussian, random_images
from vae_lightning.data.images import Images
from vae_lightning.models.priors import GaussianMixture, VampPrior
from vae_lightning.noise import ExampleNoise, StreamNoise, UnbatchedNoise
from vae_lightning.objectives.terms import elbo_terms


def noise() -> StreamNoise:
    return StreamNoise(torch.Generator(), 0)


def mixture(latent_dim: int = 2, components: int = 3) -> GaussianMixture:
    prior = GaussianMixture(latent_dim, components, spread=2.0)
    with torch.no_grad():
        prior.logits.copy_(torch.randn(components))
        prior.log_scale.copy_(0.5 * torch.randn(components, latent_dim))
    return prior


def test_density_is_the_sum_over_components() -> None:
    prior, z = mixture(), torch.randn(5, 4, 2)
    density = torch.zeros(5, 4)
    for weight, mean, scale in zip(prior.logits.softmax(0), prior.mean, prior.log_scale.exp(), strict=True):
        density += weight * Normal(mean, scale).log_prob(z).exp().prod(-1)
    torch.testing.assert_close(prior().log_prob(z), density.log())
    far = prior().log_prob(torch.full((1, 2), 100.0))
    assert far.isfinite().all()  # where every term of the sum is 0 in float32


def test_density_integrates_to_one_and_draws_have_its_moments() -> None:
    p = mixture()()
    axis = torch.linspace(-14, 14, 400)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    density = p.log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
    assert abs(density.sum().item() - 1) < 1e-3
    z, mean = p.rsample((40_000,), noise()), (density.unsqueeze(-1) * grid).sum((0, 1))
    assert z.shape == (40_000, 2)
    torch.testing.assert_close(p.mean, mean, atol=1e-3, rtol=0)
    assert ((z.mean(0) - mean).abs() < 4.5 * z.std(0) / 200).all()
    second = (density.unsqueeze(-1) * (grid - mean).square()).sum((0, 1))
    torch.testing.assert_close(z.var(0), second, rtol=0.03, atol=0)


def test_components_are_drawn_by_their_weights() -> None:
    prior = mixture(1, 3)
    with torch.no_grad():
        prior.mean.copy_(torch.tensor([[-100.0], [0.0], [100.0]]))
    z = prior().rsample((30_000,), noise()).squeeze(-1)
    shares = torch.stack([(z < -50), (z.abs() < 50), (z > 50)]).double().mean(1)
    torch.testing.assert_close(shares, prior.logits.softmax(0).double(), atol=0.01, rtol=0)


def test_a_draw_depends_on_its_example_and_not_on_those_beside_it() -> None:
    p, seen = mixture()(), torch.arange(7)
    whole = p.rsample((3, 7), UnbatchedNoise(ExampleNoise(seen, 1)))
    assert whole.shape == (3, 7, 2)
    torch.testing.assert_close(p.rsample((3, 2), UnbatchedNoise(ExampleNoise(seen[4:6], 1))), whole[:, 4:6])
    torch.testing.assert_close(p.rsample((7,), UnbatchedNoise(ExampleNoise(seen, 1))), whole[0])
    assert whole.flatten(0, 1).unique(dim=0).shape == (21, 2)
    assert p.rsample((), noise()).shape == (2,)


def test_everything_of_a_mixture_is_learned() -> None:
    prior = mixture()
    prior().log_prob(torch.randn(6, 2)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in prior.parameters())
    z = torch.randn(6, 2, requires_grad=True)
    torch.testing.assert_close(prior().detached().log_prob(z), prior().log_prob(z))
    (gradient,) = torch.autograd.grad(prior().detached().log_prob(z).sum(), [z])
    assert gradient.abs().sum() > 0


def vamp_at(images: Tensor) -> tuple[LinearGaussian, VampPrior]:
    """The linear-Gaussian VAE with a VampPrior whose pseudo-inputs are these images."""
    exact, prior = LinearGaussian(), VampPrior(2, SHAPE, 0.5, len(images))
    prior.logits.data = images.logit(1e-6)
    exact.vae.latent_prior = prior
    return exact, prior


def test_with_the_data_for_pseudo_inputs_it_is_the_aggregate_posterior() -> None:
    x = random_images(20).clamp(0.01, 0.99)
    exact, prior = vamp_at(x)
    torch.testing.assert_close(prior.pseudo_inputs, x)
    z = torch.randn(7, 3, 2)
    aggregate = torch.zeros(7, 3, dtype=torch.float64)
    for n in range(20):
        aggregate += exact.posterior(x[n : n + 1]).log_prob(z.double()).exp() / 20
    torch.testing.assert_close(exact.vae.prior().log_prob(z).double(), aggregate.log(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(exact.vae.prior().detached().log_prob(z), exact.vae.prior().log_prob(z))


def test_pseudo_inputs_are_drawn_uniformly() -> None:
    """Not the first N images: with codes far from each other, each is a share 1/K of the draws."""
    places = torch.arange(5.0) * 100

    class Encoded:
        def __init__(self, mean: Tensor) -> None:
            self.mean = mean

        def rsample(self, shape: tuple[int, ...], noise: object) -> Tensor:
            return self.mean

    def encode(u: Tensor) -> Encoded:
        chosen = (u.flatten(1)[:, 0] * 10).long()
        return Encoded(places[chosen].unsqueeze(-1).expand(-1, 2))

    prior = VampPrior(2, SHAPE, 0.5, 5)
    prior.logits.data = ((torch.arange(5.0) + 0.5) / 10).view(5, 1, 1, 1).expand(5, *SHAPE).logit()
    z = prior(encode).rsample((3, 10_000), noise())
    assert z.shape == (3, 10_000, 2)
    shares = torch.stack([(z[..., 0] == place).double().mean() for place in places])
    torch.testing.assert_close(shares, torch.full((5,), 0.2, dtype=torch.float64), atol=0.01, rtol=0)


def test_draws_have_the_moments_of_the_aggregate() -> None:
    x = random_images(6).clamp(0.01, 0.99)
    exact, _ = vamp_at(x)
    q, n = exact.posterior(x), 40_000
    z = exact.vae.prior().rsample((n,), noise()).double()
    assert ((z.mean(0) - q.mean.mean(0)).abs() < 4.5 * z.std(0) / n**0.5 + 1e-4).all()
    torch.testing.assert_close(z.var(0), q.variance.mean(0) + q.mean.var(0, correction=0), rtol=0.03, atol=0)


def test_the_images_are_encoded_once_a_call_and_only_when_asked_for() -> None:
    exact, prior = vamp_at(random_images(20))
    seen: list[int] = []

    def encode(u: Tensor) -> object:
        seen.append(len(u))
        return exact.vae.encode(u)

    p = prior(encode)
    assert seen == []
    p.log_prob(torch.zeros(2))
    p.log_prob(torch.ones(4, 2))
    assert seen == [20]
    p.rsample((3,), noise())
    assert seen == [20, 3]


def test_it_holds_no_encoder() -> None:
    exact, prior = vamp_at(random_images(4))
    exact.vae.prior().log_prob(torch.zeros(1, 2)).sum().backward()
    assert [name for name, _ in prior.named_modules()] == [""]
    assert set(prior.state_dict()) == {"logits"}
    names = set(exact.vae.state_dict())
    assert {name for name in names if name.startswith("latent_prior")} == {"latent_prior.logits"}
    assert prior.logits.grad is not None
    assert prior.logits.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="encode"):
        prior()


def test_where_pseudo_inputs_start() -> None:
    images = torch.randint(0, 256, (30, *SHAPE), dtype=torch.uint8)
    split = Images(images, torch.zeros(30, dtype=torch.int64))
    spread = VampPrior(2, SHAPE, 0.3, 1000)
    assert abs(spread.pseudo_inputs.mean().item() - 0.3) < 0.02
    before = spread.logits.clone()
    spread.start(split)
    assert torch.equal(spread.logits, before)
    from_data = VampPrior(2, SHAPE, 0.3, 8, starts_from="data")
    from_data.start(split)
    distances = (from_data.pseudo_inputs[:, None] - images.float() / 255).abs().flatten(2).amax(-1)
    assert (distances.min(1).values < 0.0101).all()


def test_the_kl_of_a_vamp_prior_vanishes_where_it_knows_the_one_image() -> None:
    """With a single pseudo-input equal to the image, p = q, so log p − log q is 0 at every draw."""
    x = random_images(1).clamp(0.01, 0.99)
    exact, _ = vamp_at(x)
    assert elbo_terms(exact.vae, x, noise(), samples=5).kl.abs().item() < 1e-4
