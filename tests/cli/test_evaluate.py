"""`evaluate.py`: the groups of measures, where their values are written, and that they are the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tests.running import SHORT, Runner
from vae_lightning.data.images import pixels
from vae_lightning.data.sprites import Sprites
from vae_lightning.evaluation.codes import encode_split
from vae_lightning.evaluation.disentanglement import evaluate_disentanglement
from vae_lightning.evaluation.features import load_classifier
from vae_lightning.evaluation.measure_result import evenly_spaced
from vae_lightning.evaluation.measures.base import ERROR_SUFFIX
from vae_lightning.evaluation.metrics import EVALUATION_TABLE
from vae_lightning.evaluation.probes import evaluate_probes
from vae_lightning.evaluation.samples import frechet_distance
from vae_lightning.runs.console import format_metric, results_table
from vae_lightning.runs.folder import Run, find_run, load_vae
from vae_lightning.runs.load_images import load_data, load_split
from vae_lightning.runs.results import add_to_results, write_results

FEW = (
    "nll.samples=6", "nll.images=60", "latents.points=100", "latents.images=200", "probes.images=300", "ais.images=6",
    "ais.steps=5", "ais.chains=2", "ais.leapfrog=2", "ais.simulated=6", "samples.images=200", "samples.classifier_steps=5",
    "samples.cache=cache",
)  # fmt: skip
ALL = ("measures=[ais,nll,latents,reconstructions,probes,samples]", *FEW)
SPRITES = ("data=sprites", "data.images=1200", "data.size=32", "data.val_size=150", "data.test_size=300")


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def without_error(figures: dict[str, Any]) -> set[str]:
    """The values without a standard error, including those that are lists or are given by number of samples."""
    return {name for name in figures if not name.endswith(ERROR_SUFFIX) and name + ERROR_SUFFIX not in figures}


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (-107.416, None, "-107.42"),
        (-107.416, 0.75, "-107.42 ± 0.75"),
        (-107.416, 1.7, "-107.4 ± 1.7"),
        (744.7, 43.9, "744.7 ± 43.9"),
        (0.9481, 0.0102, "0.948 ± 0.010"),
        (0.9481, 0.0000102, "0.9481 ± 0.0000"),
        (16, 0.0, "16 ± 0"),
        (None, None, ""),
    ],
)
def test_the_error_decides_how_many_decimals_are_shown(value: float | None, error: float | None, shown: str) -> None:
    assert format_metric(value, error) == shown


def test_the_metric_decides_how_many_decimals_are_shown_without_an_error() -> None:
    table = results_table("results", {"test": {"elbo": -99.4439, "mse": 0.4439}}, ("elbo", "mse"))
    assert list(table.columns[1].cells) == ["-99.44", "0.4439"]


def test_all_measures_go_everywhere_and_are_the_same_each_time(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "logger=tensorboard")
    outcome = runner("evaluate", f"run={folder}", *ALL, "per_image=true")
    assert outcome.status == 0, outcome.err
    first = results(folder)["test"]
    in_table = [row for row in EVALUATION_TABLE if row in first]
    assert {"elbo", "nll", "ais", "ais_minus_nll", "active_units", "mutual_information", "ssim", "knn_accuracy", "recall"} <= set(
        in_table
    )
    lines = outcome.out.splitlines()
    for row in in_table:
        assert any(line.startswith(f"{row} ") for line in lines), row
    assert without_error(first) == {
        "nll_samples", "nll_images", "nll_monte_carlo_error", "nll_effective_samples_lowest", "mutual_information_ceiling",
        "ais_images", "ais_chains", "ais_steps", "samples_images", "samples_classifier",
            "samples_sampler",
    }, "counts, ceilings, extremes, and what is an error itself"  # fmt: skip

    with np.load(folder / "per_image_test.npz") as arrays:
        images = dict(arrays)
    assert set(images) == {"examples", "labels", "elbo", "reconstruction", "kl", "nll", "codes"}
    assert images["elbo"].mean() == pytest.approx(first["elbo"])
    assert np.isfinite(images["nll"]).sum() == first["nll_images"] == 60
    assert np.nanmean(images["nll"]) == pytest.approx(first["nll"])
    assert images["codes"].shape == (500, 3)
    same = images["nll"][torch.arange(6) * 500 // 6]
    assert np.isfinite(same).all()
    assert first["ais_minus_nll"] == pytest.approx(first["ais"] - same.mean()), "of the images that AIS was given"

    splits = load_data(find_run(folder)).splits()  # grey, like E[x|z]
    classifier, digest = load_classifier(splits["train"], 5, folder / "cache")
    real, other = (classifier.features(pixels(splits[s].images[evenly_spaced(len(splits[s]), 200)])) for s in ("test", "train"))
    assert first["frechet_distance_floor"] == pytest.approx(frechet_distance(real.numpy(), other.numpy()), rel=1e-4)
    assert first["samples_classifier"] == digest

    train = load_split(find_run(folder), "train")
    codes = encode_split(load_vae(find_run(folder)), [train[evenly_spaced(len(train), 300)]], "train")
    assert codes.mean is not None
    measured = [torch.from_numpy(images[name]) for name in ("codes", "labels")]
    expected = evaluate_probes(codes.mean, codes.labels, measured[0], measured[1]).values["knn_accuracy"]
    assert first["knn_accuracy"] == pytest.approx(expected, abs=0.005), "learned on training images"

    found = scalars(folder)
    step = results(folder)["steps"]
    assert found["test/nll"] == [(step, pytest.approx(first["nll"], rel=1e-6))]
    assert found["hp/nll"][-1] == (step, pytest.approx(first["nll"], rel=1e-6))
    curve = first["nll_by_samples"]
    assert found["test/nll_by_samples"] == [(int(k), pytest.approx(value, rel=1e-6)) for k, value in curve.items()]
    assert [k for k, _ in found["test/nll_by_samples"]] == [1, 2, 5, 6]
    assert found["test/kl_per_dimension"] == [(j, pytest.approx(v, rel=1e-6)) for j, v in enumerate(first["kl_per_dimension"])]
    assert f"nll with 1, 2, 5, 6 samples: {curve['1']:.2f}, {curve['2']:.2f}, {curve['5']:.2f}, {curve['6']:.2f}." in outcome.out

    assert runner("evaluate", f"run={folder}", *ALL, "batch_size=33", "nll.chunk=17").status == 0
    second = results(folder)["test"]
    for name, value in first.items():
        if isinstance(value, float):
            assert second[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    assert second["samples_classifier"] == first["samples_classifier"]
    assert len(scalars(folder)["test/ssim"]) == 1, "an earlier evaluation is replaced"
    assert not list(folder.glob("**/.*"))


def test_a_difference_goes_when_one_of_the_two_is_measured_anew(tmp_path: Path) -> None:
    run = Run(tmp_path, OmegaConf.create(), tmp_path / "best.ckpt")
    write_results(tmp_path, {"test": {"elbo": -9.0}})
    add_to_results(run, "test", {"nll": 8.0, "ais": 8.5, "ais_minus_nll": 0.5, "ais_minus_nll_standard_error": 0.1})
    add_to_results(run, "test", {"mse": 0.1})
    assert results(tmp_path)["test"]["ais_minus_nll"] == 0.5
    add_to_results(run, "test", {"nll": 7.0})
    assert results(tmp_path)["test"] == {"elbo": -9.0, "nll": 7.0, "ais": 8.5, "mse": 0.1}


def test_what_belongs_to_an_nll_goes_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path, OmegaConf.create(), tmp_path / "best.ckpt")
    write_results(tmp_path, {"test": {"elbo": -9.0, "elbo_bits_per_dim": 2.0}})
    more = {"nll_monte_carlo_error": 0.1, "nll_standard_error": 0.2, "bits_per_dim_standard_error": 0.1}
    add_to_results(run, "test", {"nll": 8.0, "nll_samples": 9, **more})
    add_to_results(run, "test", {"nll": 8.5, "nll_samples": 1})
    assert results(tmp_path)["test"] == {"elbo": -9.0, "elbo_bits_per_dim": 2.0, "nll": 8.5, "nll_samples": 1}


def test_images_measured_with_earlier_weights_go_when_training_ends(tmp_path: Path) -> None:
    for name in ("per_image_test.npz", "per_image_val_last.npz", "film.npz"):
        (tmp_path / name).write_bytes(b"")
    write_results(tmp_path, {"steps": 7})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.npz", "results.json"]
    assert results(tmp_path) == {"steps": 7}


def test_sprites_are_scored_for_disentanglement(runner: Runner) -> None:
    folder = runner.trained(*SHORT, *SPRITES, "logger=none")
    few = ("nll.samples=0", "probes.images=200", "disentanglement.images=100")
    outcome = runner("evaluate", f"run={folder}", *few, "per_image=true", "split=val")
    assert outcome.status == 0, outcome.err
    found = results(folder)["val"]
    assert {"mig", "sap", "modularity", "dci_disentanglement", "factor_vae_score", "beta_vae_score", "ssim"} <= set(found)
    assert without_error(found) == {"mutual_information_ceiling"}
    assert "nll" not in found
    assert "factor_vae_score" in outcome.out
    with np.load(folder / "per_image_val.npz") as arrays:
        assert arrays["factors"].shape == (150, 5)
        places = evenly_spaced(150, 100)
        codes, factors = (torch.from_numpy(arrays[name])[places] for name in ("codes", "factors"))
    assert evaluate_disentanglement(codes, factors, Sprites.categorical_factors).values["mig"] == pytest.approx(found["mig"])
    assert not list(folder.glob("events*"))


def test_what_a_given_label_means_for_the_figures_is_said(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "condition=label", "logger=none")
    outcome = runner("evaluate", f"run={folder}", "measures=[]")
    assert "With condition=label all values are conditional on the label: elbo and nll refer to p(x|c)" in " ".join(
        outcome.out.split()
    )


def test_what_cannot_be_measured_is_left_out_with_a_sentence(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "logger=none")
    outcome = runner("evaluate", f"run={folder}", "split=train", "measures=[probes,samples,disentanglement]")
    assert outcome.status == 0, outcome.err
    for sentence in ("Probes were not measured: they are", "Samples were not measured: they", "not measured: the factors"):
        assert sentence in outcome.out
    assert "linear_probe_accuracy" not in results(folder)["train"]
    assert runner("evaluate", f"run={folder}", "measures=reconstructions").status == 0
    outcomes = [
        (["measures=nlls"], "measures=nlls: unknown measure. Did you mean 'nll'?"),
        (["measures=[]", "nll.seconds=3"], "nll.seconds=3 would have no effect: nll is not measured; add it to measures."),
        (["ais.steps=7"], "ais.steps=7 would have no effect"),
        (["measures=ais", "ais.steps=0"], "ais.steps=0"),
        (["nll.seconds=0"], "nll.seconds=0"),
        (["latents.images=1"], "latents.images=1"),
        (["per_image=1"], "per_image=1: must be true or false."),
    ]
    for arguments, sentence in outcomes:
        outcome = runner("evaluate", f"run={folder}", *arguments)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), arguments
        assert sentence in outcome.err
