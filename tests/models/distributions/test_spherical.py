from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ive
from torch import Tensor
from torch.distributions import kl_divergence

from vae_lightning.models.distributions.spherical import HypersphericalUniform, VonMisesFisher, cosine_slope, log_area, normaliser
from vae_lightning.noise import ExampleNoise, StreamNoise

PAIRS = [(2, 0.3), (2, 8.0), (3, 2.0), (3, 60.0), (6, 1.0), (16, 5.0), (16, 400.0)]


def noise(seed: int = 0) -> StreamNoise:
    return StreamNoise(torch.Generator(), seed)


def distribution(m: int, kappa: float, batch: int = 1) -> VonMisesFisher:
    loc = torch.nn.functional.normalize(torch.randn(batch, m, dtype=torch.float64), dim=-1)
    return VonMisesFisher(loc, torch.full((batch,), kappa, dtype=torch.float64))


def bessel_log_normaliser(m: int, kappa: np.ndarray) -> np.ndarray:
    """log C_m(κ) = (m/2 − 1) log κ − (m/2) log 2π − log I_{m/2−1}(κ)."""
    order = m / 2 - 1
    return order * np.log(kappa) - m / 2 * math.log(2 * math.pi) - np.log(ive(order, kappa)) - kappa


@pytest.mark.parametrize("m", [2, 3, 4, 7, 16, 40])
def test_quadrature_is_the_bessel_function(m: int) -> None:
    kappa = np.array([1e-3, 0.1, 1.0, 7.0, 50.0, 1e3, 1e5])
    log_integral, cosine = normaliser(torch.from_numpy(kappa), m)
    np.testing.assert_allclose(-log_integral.numpy() - kappa, bessel_log_normaliser(m, kappa), rtol=0, atol=2e-11)
    np.testing.assert_allclose(cosine.numpy(), ive(m / 2, kappa) / ive(m / 2 - 1, kappa), rtol=1e-11)


def test_densities_integrate_to_one_on_circle_and_sphere() -> None:
    angle = (torch.arange(2000, dtype=torch.float64) + 0.5) * 2 * math.pi / 2000
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    height = (torch.arange(2000, dtype=torch.float64) + 0.5) / 1000 - 1  # equal heights have equal areas (Archimedes)
    around = angle[::20]
    radius = (1 - height.square()).sqrt()[:, None]
    sphere = torch.stack([radius * around.cos(), radius * around.sin(), height[:, None].expand(-1, 100)], -1).flatten(0, 1)
    for points, area in ((circle, 2 * math.pi), (sphere, 4 * math.pi)):
        m = points.shape[-1]
        assert math.isclose(math.exp(log_area(m)), area)
        for kappa in (0.01, 1.0, 9.0):
            density = distribution(m, kappa).log_prob(points).exp()
            assert abs(density.mean().item() * area - 1) < 1e-4
        uniform = HypersphericalUniform(torch.zeros(m, dtype=torch.float64)).log_prob(points).exp()
        assert abs(uniform.mean().item() * area - 1) < 1e-12


@pytest.mark.parametrize(("m", "kappa"), PAIRS)
def test_draws_have_the_moments_of_the_density(m: int, kappa: float) -> None:
    """E[z] = A μ and E[z zᵀ] = A/κ·I + (1 − m·A/κ)·μ μᵀ."""
    q, n = distribution(m, kappa), 40_000
    z = q.rsample((n,), noise()).squeeze(1)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(n, dtype=torch.float64))
    mu, cosine = q.loc[0], q.cosine.item()
    error = z.std(0) / n**0.5
    assert ((z.mean(0) - cosine * mu).abs() < 4.5 * error).all()
    second = cosine / kappa * torch.eye(m, dtype=torch.float64) + (1 - m * cosine / kappa) * torch.outer(mu, mu)
    products = z.unsqueeze(-1) * z.unsqueeze(-2)
    assert ((products.mean(0) - second).abs() < 5 * products.std(0) / n**0.5 + 1e-6).all()


def test_uniform_draws_have_no_direction() -> None:
    z = HypersphericalUniform(torch.zeros(5)).rsample((20_000,), noise())
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000))
    assert z.mean(0).abs().max() < 5 * (1 / 5 / 20_000) ** 0.5
    torch.testing.assert_close(z.T @ z / 20_000, torch.eye(5) / 5, atol=0.01, rtol=0)


@pytest.mark.parametrize(("m", "kappa"), PAIRS)
def test_kl_is_what_monte_carlo_gives(m: int, kappa: float) -> None:
    q, p = distribution(m, kappa), HypersphericalUniform(torch.zeros(m, dtype=torch.float64))
    ratio = (lambda z: q.log_prob(z) - p.log_prob(z))(q.rsample((40_000,), noise()))
    assert abs(ratio.mean() - kl_divergence(q, p)) < 4.5 * ratio.std() / 200


@pytest.mark.parametrize("m", [2, 3, 16])
def test_kl_where_it_is_known(m: int) -> None:
    def kl(kappa: float) -> float:
        return kl_divergence(distribution(m, kappa), HypersphericalUniform(torch.zeros(m, dtype=torch.float64))).item()

    assert kl(1e-3) == pytest.approx(1e-6 / (2 * m), rel=1e-3)  # → κ²/2m as κ → 0
    kappa = 1e5  # → that of a Gaussian of variance 1/κ in the m − 1 directions of the surface
    gaussian = (m - 1) / 2 * (math.log(kappa / (2 * math.pi)) - 1) + log_area(m)
    assert kl(kappa) == pytest.approx(gaussian, abs=(m - 1) ** 2 / kappa)


def test_kl_and_density_have_the_gradients_of_finite_differences() -> None:
    loc = torch.nn.functional.normalize(torch.randn(3, 6, dtype=torch.float64), dim=-1)
    kappa = torch.tensor([0.2, 3.0, 90.0], dtype=torch.float64, requires_grad=True)
    uniform, z = HypersphericalUniform(torch.zeros(6, dtype=torch.float64)), torch.randn(3, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda k: kl_divergence(VonMisesFisher(loc, k), uniform), (kappa,))
    assert torch.autograd.gradcheck(lambda k: VonMisesFisher(loc, k).log_prob(z), (kappa,))


def test_slope_of_a_draw_in_three_dimensions_is_that_of_its_quantile() -> None:
    """There F⁻¹(u) = 1 + log(u + (1 − u) exp(−2κ))/κ."""
    kappa = torch.tensor([0.1, 1.0, 10.0, 300.0], dtype=torch.float64, requires_grad=True)
    u = torch.linspace(0.02, 0.98, 9, dtype=torch.float64).unsqueeze(-1)
    omega = 1 + (u + (1 - u) * (-2 * kappa).exp()).log() / kappa
    (expected,) = torch.autograd.grad(omega.sum(), kappa)
    torch.testing.assert_close(cosine_slope(omega.detach(), kappa.detach(), 3).sum(0), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("m", "kappa"), PAIRS)
def test_pathwise_gradient_of_an_expectation(m: int, kappa: float) -> None:
    """E[exp(aᵀz)] = C_m(κ)/C_m(‖κμ + a‖), whose gradients are known."""
    start = distribution(m, kappa)
    loc, concentration = start.loc.requires_grad_(), start.concentration.requires_grad_()
    a = torch.randn(m, dtype=torch.float64) * 0.5

    def log_constant(k: Tensor) -> Tensor:
        return -normaliser(k, m)[0] - k

    exact = (log_constant(concentration) - log_constant((concentration.unsqueeze(-1) * loc + a).norm(dim=-1))).exp()
    tangent = torch.eye(m, dtype=torch.float64) - torch.outer(loc[0].detach(), loc[0].detach())  # μ stays on the sphere
    expected = torch.autograd.grad(exact.sum(), (loc, concentration))
    values = []
    for seed in range(20):
        value = (VonMisesFisher(loc, concentration).rsample((2000,), noise(seed)) @ a).exp().mean()
        g = torch.autograd.grad(value, (loc, concentration))
        values.append(torch.cat([g[0][0] @ tangent, g[1]]))
    found = torch.stack(values)
    error = found.std(0) / len(values) ** 0.5
    assert ((found.mean(0) - torch.cat([expected[0][0] @ tangent, expected[1]])).abs() < 5 * error + 1e-9).all()


@pytest.mark.parametrize("m", [2, 3, 16])
def test_no_draw_leaves_the_sphere_or_has_a_steep_gradient_in_float32(m: int) -> None:
    """Not even if the noise for the direction lies along μ; ‖∂(aᵀz)/∂μ‖ ≤ ‖a‖ among directions along the sphere."""
    n = 20_000
    loc = torch.nn.functional.normalize(torch.randn(m, generator=torch.Generator().manual_seed(0)), dim=-1)
    each = loc.expand(n, m).clone().requires_grad_()
    z = VonMisesFisher(each, torch.ones(n)).rsample((), noise())
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
    (gradient,) = torch.autograd.grad((z @ torch.eye(m)[0]).sum(), each)
    along = gradient - (gradient @ loc).unsqueeze(-1) * loc
    assert along.norm(dim=-1).max() < 1 + 1e-5


def test_draws_are_keyed_by_example() -> None:
    q = distribution(5, 3.0, batch=4)
    part = VonMisesFisher(q.loc[2:], q.concentration[2:])
    whole = q.rsample((3,), ExampleNoise(torch.arange(4), 7))
    torch.testing.assert_close(whole[:, 2:], part.rsample((3,), ExampleNoise(torch.tensor([2, 3]), 7)))


def test_detached_has_no_gradient_of_its_own() -> None:
    q = distribution(4, 2.0)
    q.loc.requires_grad_()
    z = q.rsample((2,), noise())
    assert z.requires_grad
    assert not q.detached().log_prob(z.detach()).requires_grad
    assert torch.equal(q.detached().log_prob(z), q.log_prob(z))
