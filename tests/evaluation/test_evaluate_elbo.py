from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_batch
from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.elbo import SplitSums, evaluate_elbo, evaluation_noise
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.objectives.terms import elbo_terms


def batches(batch: Batch, size: int) -> Iterable[Batch]:
    return map(Batch._make, zip(*(part.split(size) for part in batch), strict=True))


def test_pixels_are_float32_in_the_unit_interval() -> None:
    grey = pixels(torch.arange(256, dtype=torch.uint8))
    assert grey.dtype == torch.float32
    torch.testing.assert_close(grey, torch.arange(256) / 255)
    assert grey.max() == 1


def test_metrics_are_means_over_images_with_the_noise_of_evaluation() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    terms = elbo_terms(model.vae, pixels(batch.images), evaluation_noise(batch, "val"))
    metrics = evaluate_elbo(model.vae, [batch], "val").metrics()
    assert metrics["reconstruction"] == pytest.approx(terms.reconstruction.mean().item())
    assert metrics["kl"] == pytest.approx(terms.kl.mean().item())
    assert metrics["elbo"] == pytest.approx(terms.elbo.mean().item())
    assert metrics["elbo"] == -(metrics["reconstruction"] + metrics["kl"])


def test_batch_size_and_order_change_nothing() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    whole = evaluate_elbo(model.vae, [batch], "val").sums
    order = torch.randperm(20)
    shuffled = Batch(*(part[order] for part in batch))
    for other in (*(batches(batch, size) for size in (1, 7, 10)), batches(shuffled, 6)):
        torch.testing.assert_close(evaluate_elbo(model.vae, other, "val").sums, whole, rtol=1e-6, atol=1e-5)


def test_sums_add_up_over_processes() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    whole = evaluate_elbo(model.vae, [batch], "val")
    parts = [evaluate_elbo(model.vae, [part], "val").sums for part in batches(batch, 12)]
    together = SplitSums(2, "val")
    together.sums = sum(parts, torch.zeros(()))
    assert together.sums[0] == 20
    assert together.metrics() == pytest.approx(whole.metrics())


def test_two_evaluations_agree_and_splits_and_purposes_have_noise_of_their_own() -> None:
    batch = random_batch(20)
    like = torch.zeros(20, 3)
    first = evaluation_noise(batch, "val").normal(like)
    assert torch.equal(evaluation_noise(batch, "val").normal(like), first)
    assert not torch.equal(evaluation_noise(batch, "test").normal(like), first)
    assert not torch.equal(evaluation_noise(batch, "val", "nll").normal(like), first)


def test_kl_per_dimension_adds_up_to_the_kl() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    sums = evaluate_elbo(model.vae, [batch], "val")
    q = model.vae.encode(pixels(batch.images))
    assert isinstance(q, DiagonalNormal)
    expected = 0.5 * (q.mean**2 + q.variance - q.variance.log() - 1).mean(0)
    assert sums.kl_per_dimension() == pytest.approx(expected.tolist())
    assert sum(sums.kl_per_dimension() or []) == pytest.approx(sums.metrics()["kl"])


def test_there_is_no_kl_per_dimension_where_q_does_not_factorise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_lightning.evaluation.elbo.kl_per_dimension", lambda q, p: None)
    model, batch = LinearGaussian(), random_batch(20)
    sums = evaluate_elbo(model.vae, [batch], "val")
    assert sums.kl_per_dimension() is None
    assert sums.metrics()["kl"] > 0


@pytest.mark.parametrize(("deviations", "active"), [((0.0, 0.0), 0), ((0.099, 0.5), 1), ((0.101, 0.099), 1), ((0.101, 0.5), 2)])
def test_a_unit_is_active_where_its_mean_varies_by_more_than_a_hundredth(deviations: tuple[float, float], active: int) -> None:
    """The first pixel is black in half of the images and white in the others, and codes are proportional to it."""
    model, batch = LinearGaussian(), random_batch(20)
    batch.images[:, 0, 0, 0] = torch.tensor([0, 255], dtype=torch.uint8).repeat(10)
    encoder = model.vae.encoder[1]  # type: ignore[index]
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[:2, 0] = 2 * torch.tensor(deviations)
        encoder.bias.fill_(3.0)
    sums = evaluate_elbo(model.vae, batches(batch, 6), "val")
    torch.testing.assert_close(sums.posterior_variance(), torch.tensor(deviations).double() ** 2, atol=1e-6, rtol=1e-4)
    assert sums.metrics()["active_units"] == active


def test_evaluation_leaves_mixed_precision_and_makes_no_graph() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    plain = evaluate_elbo(model.vae, [batch], "val").sums
    with torch.autocast("cpu", torch.bfloat16):
        mixed = evaluate_elbo(model.vae, [batch], "val").sums
    assert torch.equal(mixed, plain)
    assert plain.dtype == torch.float64
    assert not plain.requires_grad


def test_the_elbo_of_a_split_is_near_the_exact_marginal_where_q_is_exact() -> None:
    model, batch = LinearGaussian(exact=True), random_batch(2000)
    terms = elbo_terms(model.vae, pixels(batch.images), evaluation_noise(batch, "test"))
    difference = terms.elbo - model.log_p(pixels(batch.images))
    elbo = evaluate_elbo(model.vae, batches(batch, 500), "test").metrics()["elbo"]
    exact = model.log_p(pixels(batch.images)).mean().item()
    assert abs(elbo - exact) < 4 * difference.std().item() / 2000**0.5
