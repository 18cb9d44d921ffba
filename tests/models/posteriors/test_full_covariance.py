from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.full_normal import FullNormal
from vae_lightning.models.posteriors import Diagonal, FullCovariance
from vae_lightning.models.priors import StandardNormal
from vae_lightning.noise import StreamNoise


def noise() -> StreamNoise:
    return StreamNoise(torch.Generator(), 0)


def test_without_correlations_it_is_the_diagonal_one() -> None:
    features = torch.randn(4, 6)
    full = FullCovariance(3)
    q, diagonal = full(torch.cat([features, torch.zeros(4, 3)], -1)), Diagonal(3)(features)
    z = diagonal.rsample((5,), noise())
    assert full.features == 9
    torch.testing.assert_close(q.rsample((5,), noise()), z)
    torch.testing.assert_close(q.log_prob(z), diagonal.log_prob(z))
    torch.testing.assert_close(kl_divergence(q, StandardNormal(3)()), kl_divergence(diagonal, StandardNormal(3)()))


def test_the_numbers_below_the_diagonal_have_their_places() -> None:
    factor = FullCovariance(3)(torch.tensor([[0.0] * 6 + [1.0, 2.0, 3.0]])).scale_tril[0]
    assert factor.tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 3.0, 1.0]]


def test_draws_have_its_moments_and_density() -> None:
    q = FullCovariance(3)(torch.randn(1, 9))
    z = q.rsample((40_000,), noise()).squeeze(1)
    covariance = q.scale_tril[0] @ q.scale_tril[0].T
    torch.testing.assert_close(z.mean(0), q.mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(z.T.cov(), covariance, atol=0.1, rtol=0.03)
    exact = MultivariateNormal(q.mean[0].double(), covariance.double())
    torch.testing.assert_close(q.log_prob(z[:5]).double(), exact.log_prob(z[:5].double()), atol=1e-3, rtol=1e-4)


def test_kl_is_the_formula_and_what_monte_carlo_gives() -> None:
    factor = torch.randn(4, 3, 3, dtype=torch.float64).tril(-1) + torch.diag_embed(torch.rand(4, 3).double() + 0.3)
    q = FullNormal(torch.randn(4, 3, dtype=torch.float64), factor)
    p = DiagonalNormal(torch.randn(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64) + 0.5)
    kl = kl_divergence(q, p)
    dense = MultivariateNormal(p.mean, scale_tril=torch.diag(p.stddev))
    torch.testing.assert_close(kl, kl_divergence(MultivariateNormal(q.loc, scale_tril=factor), dense))
    z = q.rsample((40_000,), noise())
    ratio = q.log_prob(z) - p.log_prob(z)
    assert ((ratio.mean(0) - kl).abs() < 4.5 * ratio.std(0) / 200).all()


def test_float32_under_mixed_precision() -> None:
    features = torch.randn(4, 9)
    plain = FullCovariance(3)(features)
    with torch.autocast("cpu", torch.bfloat16):
        q = FullCovariance(3)(features)
        z = q.rsample((2,), noise())
        log_prob = q.log_prob(z)
    assert torch.equal(z, plain.rsample((2,), noise()))
    assert torch.equal(log_prob, plain.log_prob(z))


def test_detached_has_gradients_for_z_alone() -> None:
    features = torch.randn(2, 9, requires_grad=True)
    q = FullCovariance(3)(features)
    z = torch.randn(2, 3, requires_grad=True)
    torch.testing.assert_close(q.detached().log_prob(z), q.log_prob(z))
    q.detached().log_prob(z).sum().backward()
    assert z.grad is not None
    assert features.grad is None
