from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch.distributions import MultivariateNormal

from tests.linear_gaussian import LinearGaussian, LinearGaussianLayers, random_batch
from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation import ais
from vae_lightning.evaluation.ais import Path, bidirectional, evaluate_ais, simulate, tuned_path
from vae_lightning.models.priors import GaussianMixture
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise


@cache
def model() -> LinearGaussian:
    """A VAE whose encoder is useless, since AIS must not use it."""
    torch.manual_seed(0)
    found = LinearGaussian(sigma=0.4)
    found.vae.encoder[1].weight.data.fill_(torch.nan)  # type: ignore[index]
    return found


@cache
def path(steps: int = 60) -> Path:
    return tuned_path(model().vae, steps, leapfrog=5)


def weights(x: torch.Tensor, steps: int = 60) -> torch.Tensor:
    noise = ExampleNoise(torch.arange(len(x)), 5)
    start = ais._prior_sample(model().vae, len(x), noise, (1,))
    return ais._anneal(model().vae, x, start, path(steps), noise, 1)[0]


def test_it_is_within_its_standard_error_of_the_exact_log_p() -> None:
    batch = random_batch(40)
    found = evaluate_ais(model().vae, [batch], "test", chains=4, steps=60, leapfrog=4, simulated=40)
    exact = -model().log_p(pixels(batch.images)).mean().item()
    assert found.values["ais"] == pytest.approx(exact, abs=min(0.25, found.values["ais_standard_error"]))
    assert found.values["ais_gap"] == pytest.approx(0, abs=0.1)
    few = evaluate_ais(model().vae, [batch], "test", chains=1, steps=3, leapfrog=2, simulated=40).values
    assert few["ais_gap"] > 0.3, "with few steps the two bounds are apart"
    assert (found.values["ais_images"], found.values["ais_chains"], found.values["ais_steps"]) == (40, 4, 60)


Known = tuple[VAE, Callable[[torch.Tensor], torch.Tensor]]  # a VAE, and its log p(x)


def with_mixture() -> Known:
    """With a mixture of two Gaussians N(m, diag s²) as the prior, log p(x) = log Σ_k w_k N(x; W m + b, W diag(s²) Wᵀ + σ² I)."""
    found, prior = LinearGaussian(sigma=0.4), GaussianMixture(2, 2, spread=0.8)
    prior.logits.data.copy_(torch.tensor([0.5, -0.5]))
    prior.log_scale.data.copy_(torch.tensor([[0.2, -0.3], [-0.4, 0.1]]))
    found.vae.latent_prior = prior
    each = [
        (m.double(), found.weight @ s.double().square().diag() @ found.weight.T + 0.16 * torch.eye(6, dtype=torch.float64))
        for m, s in zip(prior.mean.detach(), prior.log_scale.detach().exp(), strict=True)
    ]

    def log_p(x: torch.Tensor) -> torch.Tensor:
        flat = x.double().flatten(1)
        parts = [MultivariateNormal(found.weight @ m + found.bias, covariance).log_prob(flat) for m, covariance in each]
        return torch.logsumexp(torch.stack(parts, -1) + prior.logits.detach().double().log_softmax(0), -1)

    return found.vae, log_p


def with_layers() -> Known:
    found = LinearGaussianLayers("bottom_up")
    return found.vae, found.log_p


@pytest.mark.parametrize("make", [with_mixture, with_layers])
def test_it_is_exact_with_priors_of_several_parts_too(make: Callable[[], Known]) -> None:
    vae, log_p = make()
    batch = random_batch(16)
    exact = -log_p(pixels(batch.images)).mean().item()
    found = evaluate_ais(vae, [batch], "test", chains=300, steps=12, leapfrog=3, simulated=16)
    assert exact - 0.1 < found.values["ais"] < exact + 0.25
    assert found.values["ais_gap"] == pytest.approx(0, abs=0.2)


def test_it_is_compared_with_the_nll_of_the_same_images() -> None:
    batch = random_batch(40)
    nll = -model().log_p(pixels(batch.images))
    nll[::4] = torch.nan  # not measured there
    found = evaluate_ais(model().vae, [batch], "test", chains=4, steps=60, leapfrog=4, simulated=5, nll=nll).values
    assert found["ais_minus_nll"] == pytest.approx(0, abs=4 * found["ais_minus_nll_standard_error"])
    assert found["ais_minus_nll_standard_error"] < found["ais_standard_error"] / 3


def test_weights_are_unbiased_whatever_the_number_of_steps() -> None:
    """E[w] = p(x), with few steps too: the mean of w / p(x) over many chains is 1."""
    x = simulate(model().vae, 1, 0)[1].expand(4000, -1, -1, -1)
    ratio = (weights(x, 4) - model().log_p(x)).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 4000**0.5)
    assert 0.01 < ratio.std().item() / 4000**0.5 < 0.2


def test_the_two_bounds_hold_the_exact_value_between_them_and_close_with_steps() -> None:
    _, x = simulate(model().vae, 300, ais.derive_seed(0, "ais", "simulated"))
    exact = model().log_p(x).mean().item()
    gaps = []
    for steps in (3, 10, 60):
        lower, upper = bidirectional(model().vae, path(steps), 300, chains=1)
        assert lower.mean().item() - 0.02 < exact < upper.mean().item() + 0.02
        gaps.append((upper - lower).mean().item())
    assert gaps[0] > 2 * gaps[1] > 2 * gaps[2]
    assert gaps[0] > 0.5


def test_moves_leave_the_posterior_as_it_is() -> None:
    x = pixels(random_batch(1).images).expand(5000, -1, -1, -1)
    posterior = model().posterior(x)
    z = posterior.sample().float().unsqueeze(0)
    noise = ExampleNoise(torch.arange(5000), 3)
    moved = z
    for _ in range(3):
        moved, accepted = ais._move(model().vae, x, moved, torch.ones(()), 1.6 * posterior.stddev[0].min().float(), 5, noise)
    assert 0.3 < accepted.mean() < 0.95
    assert (moved - z).abs().mean() > 0.5 * posterior.stddev.mean()
    torch.testing.assert_close(moved[0].mean(0), posterior.mean[0].float(), atol=0.04, rtol=0)
    torch.testing.assert_close(moved[0].std(0), posterior.stddev[0].float(), atol=0, rtol=0.05)


def test_simulated_images_are_those_of_the_model_and_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    z, x = simulate(model().vae, 20_000, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(simulate(model().vae, 20_000, 1)[1], x)
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=0.03, rtol=0)
    weight, sigma = model().weight.float(), model().sigma
    expected = weight @ weight.T + sigma**2 * torch.eye(6)
    torch.testing.assert_close(x.flatten(1).T.cov(), expected, atol=0.03, rtol=0)


def test_batch_size_and_order_change_nothing() -> None:
    batch = random_batch(10)
    whole = evaluate_ais(model().vae, [batch], "test", 2, 10, 3, simulated=5)
    order = torch.randperm(10)
    parts = [Batch(*(part[order][i : i + 4] for part in batch)) for i in (0, 4, 8)]
    again = evaluate_ais(model().vae, parts, "test", 2, 10, 3, simulated=5)
    assert again.values == pytest.approx(whole.values, rel=1e-4)


def test_about_two_thirds_of_the_proposals_are_accepted() -> None:
    sizes = path().step_sizes
    z, x = simulate(model().vae, 500, 9)
    accepted = ais._move(model().vae, x, z.unsqueeze(0), torch.ones(()), sizes[-1], 5, ExampleNoise(torch.arange(500), 1))[1]
    assert accepted.mean().item() == pytest.approx(0.65, abs=0.15)
    assert (path().betas[0], path().betas[-1]) == (0, 1)
