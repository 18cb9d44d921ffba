from __future__ import annotations

import math

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_batch
from vae_lightning.data.base import Batch
from vae_lightning.evaluation.elbo import evaluate_elbo, pixels
from vae_lightning.evaluation.nll import evaluate_nll


def test_it_is_exact_where_q_is_the_exact_posterior() -> None:
    model, batch = LinearGaussian(exact=True), random_batch(30)
    exact = -model.log_p(pixels(batch.images))
    result = evaluate_nll(model.vae, [batch], "test", samples=3)
    assert result.nll == pytest.approx(exact.mean().item(), abs=1e-4)
    assert result.standard_error == pytest.approx((exact.var() / 30).sqrt().item(), rel=1e-3)
    assert result.samples == 3


def test_it_converges_to_the_exact_value_from_above() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(200)
    exact = -model.log_p(pixels(batch.images)).mean().item()
    results = [evaluate_nll(model.vae, [batch], "test", samples=k) for k in (1, 10, 1000)]
    excess = [result.nll - exact for result in results]
    assert excess[0] > excess[1] > excess[2] > -0.01
    assert abs(excess[2]) < min(0.01, 2 * results[2].standard_error)


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
    assert chunked.standard_error == pytest.approx(whole.standard_error, rel=1e-5)


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
    assert math.isnan(evaluate_nll(LinearGaussian().vae, [random_batch(1)], "test", samples=2).standard_error)


def test_far_images_do_not_overflow() -> None:
    model, batch = LinearGaussian(exact=False, sigma=0.001), random_batch(5)
    result = evaluate_nll(model.vae, [batch], "test", samples=5, chunk=2)
    assert math.isfinite(result.nll)
    assert result.nll > 1000
