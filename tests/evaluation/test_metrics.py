"""The table of metrics is complete: every metric that is written is in it, and every metric in it is written."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tests.linear_gaussian import LinearGaussian, random_images
from tests.objectives.gradients import stream
from tests.running import REPOSITORY, SHORT, train_once
from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.evaluation.elbo import SplitSums
from vae_lightning.evaluation.measures import MEASURES
from vae_lightning.evaluation.measures.base import ERROR_SUFFIX, Metric
from vae_lightning.evaluation.measures.reconstructions_measure import ReconstructionsMeasure
from vae_lightning.evaluation.metrics import (
    METRICS,
    PARTS,
    VALIDATION_METRICS,
    better_direction,
    drop_outdated,
    find_metric,
    unit_of,
)
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.objectives import Objective
from vae_lightning.runs.folder import find_run
from vae_lightning.runs.measure import default_measures, evaluate_run, prepare_evaluation

SPRITES = ("data=sprites", "data.images=1200", "data.size=32", "data.val_size=150", "data.test_size=300", "data.binarize=none")
# quick values of settings, by name
SMALL: dict[str, Any] = {
    "images": 100,
    "samples": 3,
    "points": 20,
    "chains": 1,
    "steps": 2,
    "leapfrog": 1,
    "simulated": 4,
    "classifier_steps": 2,
}
OBJECTIVES = sorted(
    f"objective/{part}={path.stem}" for part in ("bound", "kl", "penalty") for path in REPOSITORY.glob(f"conf/objective/{part}/*")
)


def reported_by(option: str) -> set[str]:
    """The names that an objective with this option reports."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["objective=elbo", "latent_dim=2", option])
    objective = instantiate_node(config, "objective", {"latent_dim": 2})
    assert isinstance(objective, Objective)
    model = LinearGaussian(exact=False)
    objective.set_train_size(100)
    return set(objective(model.vae, random_images(8), 1.0, stream()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on sprites with a likelihood of 8-bit pixels, for which every metric is defined."""
    return train_once(tmp_path_factory.mktemp("run"), *SHORT, *SPRITES, "likelihood=discretized_logistic")


def measured(run: Path) -> dict[str, object]:
    small = {**SMALL, "cache": str(run / "cache")}
    measures = [
        measure(**{field.name: small[field.name] for field in fields(measure) if field.name in small})
        for measure in MEASURES.values()
    ]
    return evaluate_run(find_run(run), "test", measures).values


def trained(run: Path) -> set[str]:
    """What training wrote to TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "train"))
    events.Reload()
    return {tag.rpartition("/")[2] for tag in events.Tags()["scalars"]}


def test_what_is_written_is_in_the_table_and_what_is_in_the_table_is_written(run: Path) -> None:
    written = {name.removesuffix(ERROR_SUFFIX) for name in measured(run)} | trained(run)
    written |= {name for option in OBJECTIVES for name in reported_by(option)}
    written |= {"capacity_discrete"}  # only for a joint code, see tests/cli/test_latent_spaces.py
    assert {name for name in written if find_metric(name) is None} == set()
    assert set(METRICS) - written == set()


def test_each_measure_writes_its_own_metrics(run: Path) -> None:
    """Otherwise an earlier value would stay when its measure is repeated."""
    context = prepare_evaluation(find_run(run), "test", None, 100, "cpu")
    for measure in default_measures(context):
        small = type(measure)(**({"images": 100} if hasattr(measure, "images") else {}))
        written = {name.removesuffix(ERROR_SUFFIX) for name in small.measure(context).values}
        always = {"active_units", "kl_per_dimension"}  # measured with the latents too
        assert written - always <= {metric.name for metric in measure.metrics}, measure.name


def test_validation_metrics_are_those_of_a_split() -> None:
    sums = SplitSums(2, "val")
    sums.sums[0] = 1
    assert tuple(sums.metrics()) == VALIDATION_METRICS


def test_no_two_measures_write_one_metric() -> None:
    names = [metric.name for measure in MEASURES.values() for metric in measure.metrics]
    assert len(names) == len(set(names))


def test_look_ups() -> None:
    assert (unit_of("nll"), unit_of("bits_per_dim"), unit_of("mse"), unit_of("nothing")) == ("nats", "bits", "", "")
    assert [better_direction(name) for name in ("ssim", "frechet_distance", "beta", "nothing")] == ["max", "min", None, None]
    assert find_metric(f"{PARTS}continuous") == Metric("kl_continuous", "KL of continuous", "nats", "min")
    assert find_metric("kl_per_dimension") is METRICS["kl_per_dimension"]


def test_a_repeated_measure_replaces_all_of_its_values_and_what_depends_on_them() -> None:
    earlier = dict.fromkeys(("elbo", "nll", "nll_samples", "bits_per_dim_standard_error", "ais", "ais_minus_nll", "mine"), 1.0)
    assert set(drop_outdated(earlier, {"nll": 2.0})) == {"elbo", "ais", "mine"}
    assert set(drop_outdated(earlier, {"mse": 2.0})) == set(earlier)


def test_default_settings_are_those_of_the_configuration() -> None:
    config = OmegaConf.load(REPOSITORY / "conf" / "evaluate.yaml")
    assert isinstance(config, DictConfig)
    for name, measure in MEASURES.items():
        assert build_settings(measure, name, config[name]) == measure(), name


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("nll.samples", -1, "nll.samples=-1: must be an integer of at least 0 and at most 1000000, or null."),
        ("latents.images", 1, "latents.images=1: must be an integer of at least 2, or null."),
        ("samples.cache", 3, "samples.cache=3: must be a folder, or null for the user's cache folder."),
        ("ais.steps", None, "ais.steps=null: must be an integer of at least 1 and at most 100000."),
        ("ais.step", 3, "ais.step: unknown key. Did you mean 'steps'? Allowed: images, chains, steps, leapfrog, simulated."),
    ],
)
def test_a_bad_setting_is_named_by_its_key(key: str, value: object, sentence: str) -> None:
    name, _, setting = key.partition(".")
    with pytest.raises((InvalidValue, UserError)) as raised:
        build_settings(MEASURES[name], name, {setting: value})
    assert str(raised.value) == sentence


def test_measuring_from_python_is_measuring_by_command(run: Path) -> None:
    first, second = (evaluate_run(find_run(run), "val", [ReconstructionsMeasure()], batch_size=size) for size in (100, 33))
    assert first.values.keys() == second.values.keys()
    assert {"elbo", "elbo_bits_per_dim", "active_units", "mse"} <= first.values.keys()
    torch.testing.assert_close(first.values["mse"], second.values["mse"], rtol=1e-5, atol=1e-7)
    assert not (run / "per_image_val.npz").exists(), "nothing is written"
