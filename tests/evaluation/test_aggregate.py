"""A Gaussian aggregate posterior: images of normal pixels and a linear encoder make q(z) a known Gaussian."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.linear_gaussian import SHAPE, Linear
from vae_lightning.data.images import Batch
from vae_lightning.evaluation import aggregate
from vae_lightning.evaluation.aggregate import aggregate_metrics
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

WEIGHT = torch.tensor([[1.0, 0.8, 0.0, 0.0, 0.3, 0.0], [0.9, 0.0, 0.7, 0.0, 0.0, 0.2]]) * 8
SCALE, SHIFT, PIXEL = torch.tensor([0.5, 0.8]), torch.tensor([0.5, -0.3]), 30 / 255


def gaussian_vae() -> VAE:
    """q(z|x) = N(W(x − ½) + SHIFT, diag SCALE²)."""
    vae = VAE(Linear(), Diagonal(2), StandardNormal(2), Gaussian(SHAPE))
    encoder = vae.encoder[1]  # type: ignore[index]
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([WEIGHT, torch.zeros_like(WEIGHT)]))
        encoder.bias.copy_(torch.cat([SHIFT - WEIGHT.sum(1) * 0.5, 2 * SCALE.log()]))
    return vae


def normal_images(size: int) -> list[Batch]:
    images = (127.5 + 30 * torch.randn(size, *SHAPE)).round().clamp(0, 255).to(torch.uint8)
    batch = Batch(images, torch.zeros(size, dtype=torch.long), torch.arange(size))
    return [Batch(*parts) for parts in zip(*(part.split(333) for part in batch), strict=True)]


def known() -> dict[str, float]:
    """The values for z ~ N(SHIFT, C), C = W Wᵀ Var(pixel) + diag SCALE²."""
    noise = SCALE.double() ** 2
    c = WEIGHT.double() @ WEIGHT.double().T * PIXEL**2 + noise.diag()
    mutual_information = 0.5 * (c.logdet() - noise.log().sum())
    total_correlation = 0.5 * (c.diag().log().sum() - c.logdet())
    marginal_kl = 0.5 * (c.trace() + SHIFT.double() @ SHIFT.double() - 2 - c.logdet())
    dimension_wise_kl = 0.5 * (c.diag() + SHIFT.double() ** 2 - 1 - c.diag().log()).sum()
    values = (mutual_information, total_correlation, marginal_kl, dimension_wise_kl)
    names = ("mutual_information", "total_correlation", "marginal_kl", "dimension_wise_kl")
    return {name: value.item() for name, value in zip(names, values, strict=True)}


@pytest.fixture(scope="module")
def measured() -> MeasureResult:
    torch.manual_seed(1)
    return aggregate_metrics(gaussian_vae(), normal_images(3000), "test", points=1500)


@pytest.mark.parametrize("name", ["mutual_information", "total_correlation", "marginal_kl", "dimension_wise_kl"])
def test_figures_of_a_gaussian_aggregate_posterior(measured: MeasureResult, name: str) -> None:
    assert known()[name] > 0.1
    error = measured.values[f"{name}_standard_error"]
    assert error < 0.04
    assert measured.values[name] == pytest.approx(known()[name], abs=3.5 * error)


def test_leaving_the_own_image_out_bounds_the_mutual_information_from_above(measured: MeasureResult) -> None:
    values = measured.values
    assert values["mutual_information"] < values["mutual_information_upper"] < values["mutual_information"] + 0.02
    assert values["mutual_information_ceiling"] == pytest.approx(math.log(3000))
    assert measured.notes == []


def test_the_bias_shrinks_with_the_number_of_images() -> None:
    """Averaged over sets of images, it is a lower bound with the image itself in the mixture, an upper bound without it."""
    vae, truth = gaussian_vae(), known()["mutual_information"]
    below, above = [], []
    for size, sets in ((4, 250), (16, 80), (64, 30)):
        found = [aggregate_metrics(vae, normal_images(size), f"test{i}").values for i in range(sets)]
        below.append(truth - sum(f["mutual_information"] for f in found) / sets)
        above.append(sum(f["mutual_information_upper"] for f in found) / sets - truth)
    assert below[0] > below[1] > below[2] > -0.05
    assert above[0] > above[1] > above[2] > -0.05
    assert below[0] > 0.3
    assert below[2] < 0.12


def test_points_are_spread_over_the_split_and_batches_change_nothing(measured: MeasureResult) -> None:
    torch.manual_seed(1)
    vae, batches = gaussian_vae(), normal_images(3000)
    whole = [Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))]
    again = aggregate_metrics(vae, whole, "test", points=1500)
    assert again.values == pytest.approx(measured.values, rel=1e-5)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    densities = aggregate._densities

    def seen(q: LatentDistribution, z: Tensor) -> Tensor:
        sizes.append(z.numel())
        return densities(q, z)

    whole = aggregate_metrics(gaussian_vae(), normal_images(100), "test").values
    torch.manual_seed(0)
    monkeypatch.setattr(aggregate, "_densities", seen)
    monkeypatch.setattr(aggregate, "_NUMBERS", 400)
    chunked = aggregate_metrics(gaussian_vae(), normal_images(100), "test").values
    assert max(sizes) <= 400
    torch.manual_seed(0)
    assert chunked == pytest.approx(aggregate_metrics(gaussian_vae(), normal_images(100), "test").values, rel=1e-6)
    assert whole.keys() == chunked.keys()


def test_posteriors_that_do_not_overlap_are_said_to_be_at_the_ceiling() -> None:
    vae = gaussian_vae()
    with torch.no_grad():
        vae.encoder[1].bias[2:] = -20.0  # type: ignore[index]
    found = aggregate_metrics(vae, normal_images(50), "test")
    assert found.values["mutual_information"] == pytest.approx(math.log(50), abs=1e-3)
    assert "at its ceiling, log 50 = 3.91 nats" in found.notes[0]


def test_without_densities_of_single_dimensions_there_is_no_total_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    with_them = aggregate_metrics(gaussian_vae(), normal_images(100), "test").values
    torch.manual_seed(0)
    monkeypatch.setattr(aggregate, "factors", lambda q: None)
    found = aggregate_metrics(gaussian_vae(), normal_images(100), "test")
    assert {"total_correlation", "dimension_wise_kl"} <= set(with_them) - set(found.values)
    assert found.values["mutual_information"] > 0
    assert "Total correlation was not measured" in found.notes[0]


def test_one_image_has_no_mutual_information() -> None:
    assert aggregate_metrics(gaussian_vae(), normal_images(1), "test").values == {}
