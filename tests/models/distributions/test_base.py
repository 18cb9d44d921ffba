from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal, log_prob_per_component
from vae_lightning.noise import ExampleNoise, StreamNoise


class FixedNoise:
    def __init__(self, epsilon: Tensor) -> None:
        self.epsilon = epsilon

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        assert self.epsilon.shape == (*samples, *like.shape)
        return self.epsilon

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        raise NotImplementedError


def gaussian(batch: int = 4, latent: int = 3) -> DiagonalNormal:
    mean = torch.randn(batch, latent, dtype=torch.float64)
    return DiagonalNormal(mean, torch.rand(batch, latent, dtype=torch.float64) + 0.3)


def test_density_under_each_of_a_batch_is_that_of_each_alone() -> None:
    """Also far from all components, and for narrow ones far apart, whose differences of squares are useless in float32."""
    mean = (10 * torch.randn(7, 40)).requires_grad_()
    scale = torch.logspace(-3, 1, 7).unsqueeze(-1).expand(-1, 40).clone().requires_grad_()
    q = DiagonalNormal(mean, scale)
    z = torch.cat([mean.detach() + 1e-3 * torch.randn(7, 40), 50 * torch.randn(3, 40)]).view(2, 5, 40).requires_grad_()
    one_by_one = Normal(mean.double(), scale.double()).log_prob(z.double().unsqueeze(-2)).sum(-1)
    found = log_prob_per_component(q, z)
    assert (found.shape, found.dtype) == ((2, 5, 7), torch.float32)
    torch.testing.assert_close(found, one_by_one.float())
    weights = torch.rand(2, 5, 7)
    for given in (mean, scale, z):
        expected = torch.autograd.grad((one_by_one * weights).sum(), given, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), given, retain_graph=True), expected)


def test_kl_of_diagonal_gaussians_is_the_formula() -> None:
    q, p = gaussian(), gaussian()
    m, s, n, t = q.mean, q.stddev, p.mean, p.stddev
    formula = (t / s).log() + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    torch.testing.assert_close(kl_per_dimension(q, p), formula)
    torch.testing.assert_close(kl_divergence(q, p), formula.sum(-1))


def test_kl_against_the_standard_normal_is_appendix_b_of_kingma_and_welling() -> None:
    q = gaussian()
    p = DiagonalNormal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    formula = -0.5 * (1 + q.variance.log() - q.mean**2 - q.variance).sum(-1)
    torch.testing.assert_close(kl_divergence(q, p), formula)


def test_kl_is_what_monte_carlo_gives() -> None:
    q, p = gaussian(), gaussian()
    z = q.rsample((40_000,), noise=StreamNoise(torch.Generator(), 0))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / ratio.shape[0] ** 0.5
    assert ((ratio.mean(0) - kl_divergence(q, p)).abs() < 4 * error).all()


def test_no_kl_per_dimension_where_the_pair_does_not_factorise() -> None:
    q = gaussian()
    assert kl_per_dimension(q, MultivariateNormal(torch.zeros(3), torch.eye(3))) is None
    assert kl_per_dimension(q, Independent(torch.distributions.Cauchy(torch.zeros(3), torch.ones(3)), 1)) is None


def test_a_sample_is_mean_plus_scale_times_noise() -> None:
    q, epsilon = gaussian(), torch.randn(5, 4, 3, dtype=torch.float64)
    assert torch.equal(q.rsample((5,), noise=FixedNoise(epsilon)), q.mean + q.stddev * epsilon)


def test_gradients_of_the_sample_agree_with_finite_differences() -> None:
    mean = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    scale = (torch.rand(4, 3, dtype=torch.float64) + 0.3).requires_grad_()
    fixed = FixedNoise(torch.randn(2, 4, 3, dtype=torch.float64))

    def sample(mean: Tensor, scale: Tensor) -> Tensor:
        return DiagonalNormal(mean, scale).rsample((2,), noise=fixed)

    assert torch.autograd.gradcheck(sample, (mean, scale))
    assert torch.autograd.gradcheck(lambda m, s: sample(m, s).sin().sum(0), (mean, scale))


def test_pathwise_gradient_of_an_expectation() -> None:
    """E[z²] = μ² + σ², so its gradients are 2μ and 2σ."""
    mean, scale = torch.tensor([[0.7]], requires_grad=True), torch.tensor([[0.5]], requires_grad=True)
    z = DiagonalNormal(mean, scale).rsample((100_000,), noise=StreamNoise(torch.Generator(), 0))
    z.square().mean().backward()
    assert mean.grad is not None
    assert scale.grad is not None
    assert abs(mean.grad.item() - 1.4) < 0.02
    assert abs(scale.grad.item() - 1.0) < 0.02


def test_sample_moments_without_and_with_noise() -> None:
    q = gaussian(2)
    for z in (q.rsample((20_000,)), q.rsample((20_000,), noise=ExampleNoise(torch.arange(2), 0))):
        assert ((z.mean(0) - q.mean).abs() < 5 * q.stddev / 20_000**0.5).all()
        assert ((z.std(0) / q.stddev - 1).abs() < 5 / 40_000**0.5).all()


def test_log_prob_sums_over_latent_dimensions() -> None:
    q, z = gaussian(), torch.randn(7, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), Normal(q.mean, q.stddev).log_prob(z).sum(-1))


def test_expand_repeats_the_prior() -> None:
    p = DiagonalNormal(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 3.0])).expand((6,))
    assert (p.batch_shape, p.event_shape) == ((6,), (2,))
    assert torch.equal(p.mean, torch.tensor([1.0, 2.0]).expand(6, 2))
    assert torch.equal(p.stddev, torch.tensor([0.5, 3.0]).expand(6, 2))
    assert p.rsample((3,), noise=ExampleNoise(torch.arange(6), 0)).shape == (3, 6, 2)
