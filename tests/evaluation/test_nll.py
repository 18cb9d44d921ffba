from __future__ import annotations

import math

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_batch
from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.evaluation.nll import NLL, evaluate_nll, half_sample_bias, samples_within


def standard_error(result: NLL) -> float:
    return float(result.metrics().values["nll_standard_error"])


def test_it_is_exact_where_q_is_the_exact_posterior() -> None:
    model, batch = LinearGaussian(exact=True), random_batch(30)
    exact = -model.log_p(pixels(batch.images))
    result = evaluate_nll(model.vae, [batch], "test", samples=3)
    assert result.nll == pytest.approx(exact.mean().item(), abs=1e-4)
    assert standard_error(result) == pytest.approx((exact.var() / 30).sqrt().item(), rel=1e-3)
    assert result.samples == 3
    assert result.monte_carlo_error == pytest.approx(0, abs=1e-4), "other noise would change nothing"


def test_it_converges_to_the_exact_value_from_above() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(200)
    exact = -model.log_p(pixels(batch.images)).mean().item()
    results = [evaluate_nll(model.vae, [batch], "test", samples=k) for k in (1, 10, 1000)]
    excess = [result.nll - exact for result in results]
    assert excess[0] > excess[1] > excess[2] > -0.01
    assert abs(excess[2]) < min(0.01, 2 * standard_error(results[2]))


def test_it_is_within_its_errors_of_the_exact_log_p() -> None:
    """The Monte Carlo error covers the exact log p(x) of the same images; the standard error, that of all data."""
    model, data = LinearGaussian(exact=False), random_batch(1200)
    exact = -model.log_p(pixels(data.images))
    batch = Batch(*(part[:400] for part in data))
    result = evaluate_nll(model.vae, [batch], "test", samples=2000)
    assert abs(result.nll - exact[:400].mean().item()) < 4 * result.monte_carlo_error
    assert result.monte_carlo_error < 0.02 * standard_error(result) + 0.01
    assert abs(result.nll - exact.mean().item()) < 4 * standard_error(result)


def test_the_monte_carlo_error_is_the_spread_over_other_noise() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    results = [evaluate_nll(model.vae, [batch], f"test{i}", samples=200) for i in range(60)]
    spread = torch.tensor([result.nll for result in results]).std().item()
    assert results[0].monte_carlo_error == pytest.approx(spread, rel=0.4)


def test_one_sample_does_not_say_what_other_noise_would_change() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    result = evaluate_nll(model.vae, [batch], "test", samples=1)
    assert math.isnan(result.monte_carlo_error)
    assert "nll_monte_carlo_error" not in result.metrics().values


def test_the_bound_at_fewer_samples_comes_from_the_same_samples() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(10)
    result = evaluate_nll(model.vae, [batch], "test", samples=30, chunk=64)
    assert list(result.by_samples) == [1, 2, 5, 10, 20, 30]
    for k, values in result.by_samples.items():
        torch.testing.assert_close(values, evaluate_nll(model.vae, [batch], "test", samples=k).values)
    assert torch.equal(result.by_samples[30], result.values)


def test_the_effective_sample_size_is_k_for_equal_weights_and_less_for_others() -> None:
    batch = random_batch(10)
    exact = evaluate_nll(LinearGaussian(exact=True).vae, [batch], "test", samples=40)
    torch.testing.assert_close(exact.effective, torch.full((10,), 40.0, dtype=torch.float64), rtol=1e-4, atol=0)
    beside = evaluate_nll(LinearGaussian(exact=False).vae, [batch], "test", samples=40).effective
    assert 1 <= beside.min() <= beside.max() < 40


@pytest.mark.parametrize("k", [2, 3, 40, 41])
def test_the_bias_is_what_log_normal_weights_have(k: int) -> None:
    """With E[w] = 1, log p(x) = 0, and the bias is the mean of −log (1/k) Σ w."""
    deviation = 0.5
    log_w = deviation * torch.randn(k, 60_000, dtype=torch.float64) - deviation**2 / 2
    parts = log_w[: k // 2], log_w[k // 2 :], log_w
    first, second, whole = (torch.logsumexp(part, 0) - math.log(len(part)) for part in parts)
    bias = half_sample_bias(whole, torch.stack([first, second]), k)
    assert bias.mean().item() == pytest.approx(-whole.mean().item(), rel=0.1, abs=4 * whole.std().item() / 60_000**0.5)
    assert bias.mean().item() == pytest.approx((math.exp(deviation**2) - 1) / (2 * k), rel=0.25)


@pytest.mark.parametrize("chunk", [64, 2000])
def test_the_bias_is_the_distance_from_the_exact_log_p(chunk: int) -> None:
    model, batch = LinearGaussian(exact=False), random_batch(600)
    exact = -model.log_p(pixels(batch.images)).mean().item()
    result = evaluate_nll(model.vae, [batch], "test", samples=20, chunk=chunk)
    found = result.metrics().values
    assert found["nll_bias"] > 3 * found["nll_bias_standard_error"]
    assert found["nll"] - exact == pytest.approx(
        found["nll_bias"], abs=3 * (result.monte_carlo_error + found["nll_bias_standard_error"])
    )
    assert abs(found["nll"] - found["nll_bias"] - exact) < 0.5 * (found["nll"] - exact)


def test_halves_do_not_depend_on_the_chunks() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(30)
    whole, parts = (evaluate_nll(model.vae, [batch], "test", samples=31, chunk=chunk).bias for chunk in (2000, 70))
    torch.testing.assert_close(whole, parts)


def test_an_nll_of_too_few_samples_is_said_to_be_too_high() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(50)
    few = evaluate_nll(model.vae, [batch], "test", samples=2).metrics()
    assert few.values["nll_bias"] > 0.05
    assert f"with 2 samples it is too high by an estimated {few.values['nll_bias']:.2f} nats" in few.notes[0]
    assert evaluate_nll(model.vae, [batch], "test", samples=1000).metrics().notes == []
    figures = evaluate_nll(model.vae, [batch], "test", samples=1).metrics()
    assert (figures.values["nll_samples"], figures.notes) == (1, [])
    assert "nll_bias" not in figures.values


@pytest.mark.parametrize("size", [3, 64])
def test_what_is_decoded_at_once_is_bounded_whatever_k(size: int) -> None:
    model, batch = LinearGaussian(exact=False), random_batch(64)
    decoded = []
    model.vae.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(len(output)))
    for samples in (5, 200):
        evaluate_nll(model.vae, [batch], "test", samples, chunk=size)
    assert max(decoded) <= size
    assert sum(decoded) == 64 * 205


def test_k_fits_the_time_and_depends_on_nothing_else() -> None:
    vae = LinearGaussian().vae
    ks = [samples_within(vae, images, 60) for images in (100, 1_000_000, 10_000_000, 10**9)]
    assert ks[0] == 5000
    assert 5000 > ks[1] > ks[2] > ks[3] == 10
    assert samples_within(vae, 1_000_000, 600) > ks[1]
    assert samples_within(vae, 1_000_000, 60) == ks[1]


def test_progress_is_told_every_image() -> None:
    done: list[int] = []
    evaluate_nll(LinearGaussian().vae, [random_batch(10), random_batch(5)], "test", 3, 4, done.append)
    assert sum(done) == 15


def test_it_is_at_most_the_negative_elbo() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(200)
    elbo = evaluate_elbo(model.vae, [batch], "test").metrics()["elbo"]
    assert evaluate_nll(model.vae, [batch], "test", samples=50).nll < -elbo


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_the_chunk_size_changes_nothing(chunk: int) -> None:
    model, batch = LinearGaussian(exact=False), random_batch(10)
    whole = evaluate_nll(model.vae, [batch], "test", samples=20)
    chunked = evaluate_nll(model.vae, [batch], "test", samples=20, chunk=chunk)
    assert chunked.nll == pytest.approx(whole.nll, abs=1e-6)
    assert standard_error(chunked) == pytest.approx(standard_error(whole), rel=1e-5)


@pytest.mark.parametrize("size", [1, 7])
def test_the_batch_size_and_order_change_nothing(size: int) -> None:
    model, batch = LinearGaussian(exact=False), random_batch(10)
    order = torch.randperm(10)
    shuffled = map(Batch._make, zip(*(part[order].split(size) for part in batch), strict=True))
    whole = evaluate_nll(model.vae, [batch], "test", samples=20)
    assert evaluate_nll(model.vae, shuffled, "test", samples=20).nll == pytest.approx(whole.nll, abs=1e-6)


def test_progress_is_told_of_every_image() -> None:
    done: list[int] = []
    evaluate_nll(LinearGaussian().vae, [random_batch(4), random_batch(3)], "test", samples=2, progress=done.append)
    assert done == [4, 3]


def test_one_image_has_no_standard_error() -> None:
    found = evaluate_nll(LinearGaussian().vae, [random_batch(1)], "test", samples=2).metrics()
    assert "nll_standard_error" not in found.values


def test_far_images_do_not_overflow() -> None:
    model, batch = LinearGaussian(exact=False, sigma=0.001), random_batch(5)
    result = evaluate_nll(model.vae, [batch], "test", samples=5, chunk=2)
    assert math.isfinite(result.nll)
    assert result.nll > 1000
