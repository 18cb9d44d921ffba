from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.evaluation.test_aggregate import SCALE, SHIFT, WEIGHT, gaussian_vae, normal_images
from tests.linear_gaussian import LinearGaussian, random_batch
from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.aggregate import aggregate_metrics
from vae_lightning.evaluation.codes import Codes, add_bits_per_dim, bits_per_dim, elbo_metrics, encode_split
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.evaluation.latents import evaluate_latents, moment_metrics, unit_metrics
from vae_lightning.evaluation.measure_result import MeasureResult, bootstrap_error, evenly_spaced, group_error, mean_error
from vae_lightning.evaluation.nll import evaluate_nll
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import CategoricalPosterior, Diagonal, Joint, PointMass, Posterior, VonMisesFisherPosterior
from vae_lightning.models.priors import Prior, Product, StandardNormal, UniformCategorical, UniformSphere
from vae_lightning.models.vae import VAE


def parts(batch: Batch, size: int) -> Iterator[Batch]:
    return map(Batch._make, zip(*(part.split(size) for part in batch), strict=True))


def test_the_figures_of_the_elbo_are_those_that_training_logs() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    trained = evaluate_elbo(model.vae, [batch], "test")
    codes = encode_split(model.vae, parts(batch, 7), "test")
    values = elbo_metrics(codes).values
    for name in ("elbo", "reconstruction", "kl"):
        assert values[name] == pytest.approx(trained.metrics()[name], rel=1e-6)
    assert codes.elbo is not None
    assert values["elbo_standard_error"] == pytest.approx(codes.elbo.std().item() / 20**0.5)
    for suffix in ("", "_standard_error"):
        assert values[f"rate{suffix}"] == values[f"kl{suffix}"]
        assert values[f"distortion{suffix}"] == values[f"reconstruction{suffix}"]
    units = unit_metrics(codes).values
    assert units["active_units"] == trained.metrics()["active_units"]
    assert units["kl_per_dimension"] == pytest.approx(trained.kl_per_dimension())


def test_informative_dimensions_have_a_mean_kl_of_more_than_a_tenth() -> None:
    codes = encode_split(LinearGaussian(exact=False).vae, [random_batch(20)], "test")
    kl = torch.tensor([[0.0, 0.3, 0.04], [0.25, 0.0, 0.15]])
    found = unit_metrics(replace(codes, kl_per_dimension=kl)).values
    assert found["kl_per_dimension"] == pytest.approx([0.125, 0.15, 0.095])
    assert found["informative_dimensions"] == 2
    assert found["informative_dimensions_standard_error"] > 0


def test_no_upper_bound_on_the_information_exceeds_the_mean_kl() -> None:
    """q(z|x) far from each other: leaving one out gives an absurd bound."""
    model, batch = LinearGaussian(exact=True, sigma=0.02), random_batch(40)
    codes = encode_split(model.vae, [batch], "test")
    assert codes.kl is not None
    found = evaluate_latents(model.vae, [batch], codes, "test").values
    assert aggregate_metrics(model.vae, [batch], "test").values["mutual_information_upper"] > codes.kl.mean()
    assert found["mutual_information_upper"] == pytest.approx(codes.kl.mean().item())
    assert found["mutual_information_upper_standard_error"] == pytest.approx(mean_error(codes.kl))
    assert found["mutual_information"] < found["mutual_information_upper"]


def test_codes_depend_neither_on_batch_size_nor_on_order() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(20)
    whole, order = encode_split(model.vae, [batch], "test"), torch.randperm(20)
    other = encode_split(model.vae, parts(Batch(*(part[order] for part in batch)), 6), "test")
    for name in ("examples", "reconstruction", "kl", "kl_per_dimension", "mean", "sample"):
        torch.testing.assert_close(getattr(other, name), getattr(whole, name)[order], rtol=1e-5, atol=1e-5)


def test_without_a_density_there_is_a_reconstruction_and_a_sentence() -> None:
    vae, batch = VAE(MLP([8]), PointMass(2), StandardNormal(2), Gaussian((1, 2, 3))), random_batch(20)
    codes = encode_split(vae, [batch], "test")
    found = elbo_metrics(codes)
    assert set(found.values) == {"reconstruction", "reconstruction_standard_error"}
    x = pixels(batch.images)
    expected = -vae.decode(vae.encode(x).mean).log_prob(x).mean().item()
    assert found.values["reconstruction"] == pytest.approx(expected)
    assert "no density" in found.notes[0]
    latents = evaluate_latents(vae, [batch], codes, "test")
    assert {"mutual_information", "kl_per_dimension"}.isdisjoint(latents.values)
    assert "active_units" in latents.values
    assert "Mutual information was not measured: this posterior has no density over a latent vector." in latents.notes


def planted(mean: np.ndarray) -> Codes:
    size = len(mean)
    codes = torch.from_numpy(mean).float()
    zeros = torch.zeros(size)
    return Codes(torch.arange(size), zeros.long(), zeros, zeros, torch.zeros_like(codes), codes, codes)


def test_active_units_have_the_spread_of_a_bootstrap_and_a_sentence_where_some_carry_nothing() -> None:
    rng = np.random.default_rng(0)
    clear = unit_metrics(planted(rng.normal(size=(400, 4)) * [1, 1, 0.01, 0.01]))
    assert (clear.values["active_units"], clear.values["active_units_standard_error"]) == (2, 0)
    assert clear.notes[0].startswith("2 of 4 latent dimensions are inactive: the variance of their mean code")
    one = unit_metrics(planted(rng.normal(size=(400, 2)) * [1, 0.01]))
    assert one.notes[0].startswith("1 of 2 latent dimensions is inactive: the variance of its mean code")
    clear.update(MeasureResult({"kl": 1.0}, [*clear.notes, "Another."]))  # as evaluate.py does with that of the latents
    assert [note[:7] for note in clear.notes] == ["2 of 4 ", "Another"]
    all_active = unit_metrics(planted(rng.normal(size=(400, 4))))
    assert (all_active.values["active_units"], all_active.notes) == (4, [])
    at_the_edge = unit_metrics(planted(rng.normal(size=(400, 4)) * [1, 1, 1, 0.1]))
    assert 0.2 < at_the_edge.values["active_units_standard_error"] < 0.7


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (CategoricalPosterior(2, 5), UniformCategorical(2, 5)),
        (VonMisesFisherPosterior(4), UniformSphere(4)),
        (Joint(Diagonal(3), CategoricalPosterior(1, 4)), Product(StandardNormal(3), UniformCategorical(1, 4))),
    ],
)
def test_codes_that_are_no_real_numbers_have_no_active_units_and_no_correlation(posterior: Posterior, prior: Prior) -> None:
    vae, batch = VAE(MLP([8]), posterior, prior, Gaussian((1, 2, 3))), random_batch(20)
    vae.eval()
    found = evaluate_latents(vae, [batch], encode_split(vae, [batch], "test"), "test")
    assert {"aggregate_mean", "mutual_information"} <= set(found.values)
    assert {"active_units", "aggregate_correlation"}.isdisjoint(found.values)
    assert "Active units were not counted: they are defined for latents in the whole of a real space only." in found.notes
    assert not any("inactive" in note for note in found.notes)
    assert set(evaluate_elbo(vae, [batch], "test").metrics()) == {"elbo", "reconstruction", "kl"}


def test_of_one_image_nothing_is_said_that_takes_two() -> None:
    model, batch = LinearGaussian(exact=False), random_batch(1)
    codes = encode_split(model.vae, [batch], "test")
    found = evaluate_latents(model.vae, [batch], codes, "test")
    found.update(evaluate_nll(model.vae, [batch], "test", 10).metrics())
    of_nll = {f"nll{part}" for part in ("", "_samples", "_monte_carlo_error", "_bias", "_by_samples")}
    assert set(found.values) == of_nll | {
        "kl_per_dimension",
        "informative_dimensions",
        "nll_effective_samples",
        "nll_effective_samples_lowest",
    }
    assert "nan" not in str(found.values)
    assert "Active units were not counted: that takes at least two images." in found.notes


def test_without_a_product_over_dimensions_there_is_no_kl_of_each_and_a_sentence() -> None:
    found = unit_metrics(replace(planted(np.eye(4)), kl_per_dimension=None))
    assert "kl_per_dimension" not in found.values
    assert found.notes == ["KL per dimension was not measured: this posterior or this prior is not a product over dimensions."]


def test_moments_are_those_of_the_aggregate_posterior() -> None:
    codes = encode_split(gaussian_vae(), normal_images(4000), "test")
    values = moment_metrics(codes).values
    covariance = WEIGHT @ WEIGHT.T * (30 / 255) ** 2 + (SCALE**2).diag()
    deviation = covariance.diag().sqrt()
    assert values["aggregate_mean"] == pytest.approx(SHIFT.tolist(), abs=0.06)
    assert values["aggregate_standard_deviation"] == pytest.approx(deviation.tolist(), rel=0.05)
    errors = {name: np.array(values[f"aggregate_{name}_standard_error"]) for name in ("mean", "standard_deviation")}
    assert errors["mean"] == pytest.approx(deviation.numpy() / 4000**0.5, rel=0.05)
    assert errors["standard_deviation"] == pytest.approx(deviation.numpy() / 8000**0.5, rel=0.1)
    expected = (covariance[0, 1] / deviation.prod()).item()
    error = values["aggregate_correlation_standard_error"]
    assert values["aggregate_correlation"] == pytest.approx(expected, abs=4 * error)
    assert error < 0.02
    assert codes.sample is not None
    turned = moment_metrics(replace(codes, sample=codes.sample * torch.tensor([1.0, -1.0]))).values
    assert turned["aggregate_correlation"] == pytest.approx(values["aggregate_correlation"]), "a negative one is as large"


def test_all_figures_come_together() -> None:
    batches = normal_images(200)
    found = evaluate_latents(gaussian_vae(), batches, encode_split(gaussian_vae(), batches, "test"), "test", points=50)
    assert {"active_units", "kl_per_dimension", "aggregate_mean", "mutual_information", "total_correlation"} <= set(found.values)


def test_bits_per_dim_only_where_the_likelihood_is_of_8_bit_values(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bits_per_dim(12.0, (3, 2, 2)) == pytest.approx(1 / np.log(2)), "of each pixel and channel"
    vae = LinearGaussian().vae  # 6 pixels
    found = MeasureResult({"nll": 12.0, "nll_standard_error": 0.6, "elbo": -18.0, "elbo_standard_error": 1.2})
    add_bits_per_dim(found, vae)
    assert "bits_per_dim" not in found.values
    monkeypatch.setattr(type(vae.likelihood), "discrete_levels", 256)
    add_bits_per_dim(found, vae)
    assert found.values["bits_per_dim"] == pytest.approx(2 / np.log(2))
    assert found.values["bits_per_dim_standard_error"] == pytest.approx(0.1 / np.log(2))
    assert found.values["elbo_bits_per_dim"] == pytest.approx(3 / np.log(2))


def test_errors_of_a_mean_agree() -> None:
    values = torch.randn(3000).exp()
    exact = mean_error(values)

    def mean(places: np.ndarray) -> float:
        return values[torch.from_numpy(places)].mean().item()

    assert bootstrap_error(mean, 3000) == pytest.approx(exact, rel=0.2)
    assert bootstrap_error(mean, 3000) == bootstrap_error(mean, 3000)
    assert group_error(lambda places: {"mean": mean(places)}, 3000, 60)["mean"] == pytest.approx(exact, rel=0.3)
    assert group_error(lambda places: {"mean": mean(places)}, 9) == {}


def test_places_are_spread() -> None:
    assert evenly_spaced(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_spaced(3, 5).tolist() == evenly_spaced(3, None).tolist() == [0, 1, 2]
