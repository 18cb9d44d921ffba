from __future__ import annotations

import pytest
import torch
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from tests.linear_gaussian import LinearGaussian, random_images
from vae_lightning.models.architectures import MLP
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, Noise, StreamNoise
from vae_lightning.objectives.terms import elbo_terms, iwae_bound, log_weights

SAMPLES = 20_000


def stream(seed: int = 0) -> Noise:
    return StreamNoise(torch.Generator(), seed)


def gap(model: LinearGaussian, x: torch.Tensor) -> torch.Tensor:
    """KL(q(z|x) ‖ p(z|x)), which is log p(x) − ELBO."""
    q = model.vae.encode(x)
    assert isinstance(q, DiagonalNormal)
    return kl_divergence(Independent(Normal(q.mean.double(), q.stddev.double()), 1), model.posterior(x))


def test_every_weight_is_the_exact_marginal_where_q_is_the_exact_posterior() -> None:
    model, x = LinearGaussian(exact=True), random_images(5)
    exact = model.log_p(x)
    log_w = log_weights(model.vae, x, 7, stream())
    assert log_w.shape == (7, 5)
    torch.testing.assert_close(log_w.double(), exact.expand(7, 5), atol=1e-4, rtol=0)
    torch.testing.assert_close(iwae_bound(log_w).double(), exact, atol=1e-4, rtol=0)


def test_the_elbo_is_the_exact_marginal_where_q_is_the_exact_posterior() -> None:
    model, x = LinearGaussian(exact=True), random_images(5)
    assert gap(model, x).abs().max() < 1e-6
    log_w = log_weights(model.vae, x, SAMPLES, stream(1))
    terms = elbo_terms(model.vae, x, stream(), SAMPLES)
    error = model.vae.decode(model.vae.encode(x).rsample((1000,))).log_prob(x).std(0) / SAMPLES**0.5
    assert ((terms.elbo - model.log_p(x)).abs() < 4 * error).all()
    torch.testing.assert_close(log_w.mean(0).double(), model.log_p(x), atol=1e-4, rtol=0)


def test_the_elbo_falls_short_by_the_kl_to_the_exact_posterior() -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    expected = model.log_p(x) - gap(model, x)
    assert (gap(model, x) > 0.05).all()
    log_w = log_weights(model.vae, x, SAMPLES, stream())
    assert ((log_w.mean(0) - expected).abs() < 4 * log_w.std(0) / SAMPLES**0.5).all()
    error = model.vae.decode(model.vae.encode(x).rsample((1000,))).log_prob(x).std(0) / SAMPLES**0.5
    assert ((elbo_terms(model.vae, x, stream(), SAMPLES).elbo - expected).abs() < 4 * error).all()


def test_elbo_below_iwae_below_the_exact_marginal_ever_tighter() -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    exact = model.log_p(x)
    log_w = log_weights(model.vae, x, SAMPLES, stream()).double()
    previous = exact - gap(model, x)
    for k in (2, 5, 50):
        bounds = torch.stack([iwae_bound(part) for part in log_w.split(k)])
        error = bounds.std(0) / len(bounds) ** 0.5
        assert (bounds.mean(0) > previous).all()
        assert (bounds.mean(0) < exact + 3 * error).all()
        previous = bounds.mean(0)
    assert (exact - previous < 0.1 * gap(model, x)).all()


def test_the_weights_are_unbiased() -> None:
    """E[w] = p(x)."""
    model, x = LinearGaussian(exact=False), random_images(5)
    w = (log_weights(model.vae, x, SAMPLES, stream()).double() - model.log_p(x)).exp()
    assert ((w.mean(0) - 1).abs() < 4 * w.std(0) / SAMPLES**0.5).all()


def test_iwae_of_one_sample_is_its_weight_and_of_many_the_log_of_the_mean() -> None:
    log_w = torch.randn(6, 4, dtype=torch.float64)
    assert torch.equal(iwae_bound(log_w[:1]), log_w[0])
    torch.testing.assert_close(iwae_bound(log_w), log_w.exp().mean(0).log())
    torch.testing.assert_close(iwae_bound(log_w - 5000), iwae_bound(log_w) - 5000)


def bernoulli_vae() -> VAE:
    return VAE(MLP([8]), Diagonal(3), StandardNormal(3), Bernoulli((1, 2, 3)))


def test_terms_are_sums_over_pixels_and_latent_dimensions_for_each_image() -> None:
    vae, x = bernoulli_vae(), random_images(4).round()
    terms = elbo_terms(vae, x, ExampleNoise(torch.arange(4), 0))
    q = vae.encode(x)
    assert isinstance(q, DiagonalNormal)
    z = q.mean + q.stddev * ExampleNoise(torch.arange(4), 0).normal(q.mean)
    pi = vae.decoder(z).sigmoid()
    reconstruction = -(x * pi.log() + (1 - x) * (1 - pi).log()).sum((1, 2, 3))
    kl = 0.5 * (q.mean**2 + q.variance - q.variance.log() - 1).sum(1)
    torch.testing.assert_close(terms.reconstruction, reconstruction)
    torch.testing.assert_close(terms.kl, kl)
    torch.testing.assert_close(terms.elbo, -reconstruction - kl)
    assert torch.equal(terms.q.mean, q.mean)


def test_several_samples_are_averaged() -> None:
    vae, x = bernoulli_vae(), random_images(4).round()
    chunks = [elbo_terms(vae, x, ExampleNoise(torch.arange(4), 0, first_sample=i)).reconstruction for i in range(5)]
    several = elbo_terms(vae, x, ExampleNoise(torch.arange(4), 0), samples=5)
    torch.testing.assert_close(several.reconstruction, torch.stack(chunks).mean(0))


class Unknown(DiagonalNormal):
    """A distribution for which torch knows no KL formula."""


def test_a_kl_without_a_formula_is_estimated_from_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, x = bernoulli_vae(), random_images(4).round()
    exact = elbo_terms(vae, x).kl

    def no_formula(q: Distribution, p: Distribution) -> torch.Tensor:
        raise NotImplementedError

    monkeypatch.setattr("vae_lightning.models.distributions.base.kl_divergence", no_formula)
    z = vae.encode(x).rsample((SAMPLES,))
    error = (vae.encode(x).log_prob(z) - vae.prior().log_prob(z)).std(0) / SAMPLES**0.5
    assert ((elbo_terms(vae, x, stream(), SAMPLES).kl - exact).abs() < 4 * error).all()


def test_float32_under_mixed_precision() -> None:
    vae, x = bernoulli_vae(), random_images(4).round()
    with torch.autocast("cpu", torch.bfloat16):
        assert vae.encoder(x).dtype == torch.bfloat16
        terms, log_w = elbo_terms(vae, x, stream()), log_weights(vae, x, 3, stream())
    assert terms.reconstruction.dtype == terms.kl.dtype == terms.elbo.dtype == log_w.dtype == torch.float32


def test_gradients_of_the_elbo_agree_with_finite_differences() -> None:
    """Along one direction in weight space, with the noise fixed; float32, hence the loose tolerance."""
    vae, x = bernoulli_vae(), random_images(4).round()
    weights = torch.nn.utils.parameters_to_vector(vae.parameters()).detach()
    direction = torch.randn_like(weights)

    def moved(by: float) -> float:
        torch.nn.utils.vector_to_parameters(weights + by * direction, vae.parameters())
        return elbo_terms(vae, x, stream(), 20).elbo.double().sum().item()

    elbo_terms(vae, x, stream(), 20).elbo.sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in vae.parameters() if p.grad is not None])
    slope = (gradient @ direction).item()
    assert (moved(1e-2) - moved(-1e-2)) / 2e-2 == pytest.approx(slope, rel=5e-3)
