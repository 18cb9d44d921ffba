"""What TensorBoard shows of a run: metrics, pictures and HParams, and when they are logged."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.running import SHORT, Runner, metrics_rows, train_once
from vae_lightning.data.images import Images
from vae_lightning.evaluation.metrics import VALIDATION_METRICS
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.training.callbacks.checkpoints import LastCheckpoint
from vae_lightning.training.callbacks.figures import Pictures, due
from vae_lightning.training.log_files import event_files
from vae_lightning.training.loggers import TensorBoard
from vae_lightning.training.metrics_csv import MetricsCSV
from vae_lightning.training.module import VAEModule

LONGER = ("trainer.max_epochs=4", "trainer.log_every_n_steps=2", "callbacks=default", "~callbacks.film", "latent_dim=2", "beta=3")
DRAWN = {name for name, picture in PICTURES.items() if picture.in_training} - {"kl_map"}  # which is for codes on a grid


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_once(tmp_path_factory.mktemp("watched"), *SHORT, *LONGER)


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"images": 0}).Reload()


def scalars(folder: Path, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events(folder).Scalars(tag)}


@pytest.mark.parametrize(
    ("writer", "kind", "tag", "names"),
    [
        ("train", "train_step", "step", {"elbo", "reconstruction", "kl", "loss", "beta", "lr"}),
        ("train", "train", "epoch", {"elbo", "reconstruction", "kl", "loss", "beta", "lr"}),
        ("val", "val", "epoch", {"elbo", "reconstruction", "kl", "active_units"}),
    ],
)
def test_metrics_are_those_of_metrics_csv_train_and_val_on_one_chart(
    run: Path, writer: str, kind: str, tag: str, names: set[str]
) -> None:
    held = {name.partition("/")[2] for name in events(run / writer).Tags()["scalars"] if name.startswith(f"{tag}/")}
    assert held == names | ({"images_per_second"} if writer == "train" else set())
    rows = [row for row in metrics_rows(run) if row["kind"] == kind]
    assert len(rows) == (8 if kind == "train_step" else 4)
    for name in names:
        expected = {int(row["step"]): pytest.approx(float(row[name]), rel=1e-6) for row in rows}
        assert scalars(run / writer, f"{tag}/{name}") == expected


def test_every_validation_metric_has_a_column_from_the_first_row_on(tmp_path: Path) -> None:
    """The first row is one of a training step, which has none of the metrics that only validation measures."""
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"train_step/loss": 1.0, "train_step/mine": 2.0, "train_step/images_per_second": 3.0}, 1)
    logger.log_metrics({f"val/{name}": 0.5 for name in VALIDATION_METRICS}, 2)
    first, second = csv.DictReader(logger.path.read_text().splitlines())
    assert (first["mine"], "images_per_second" in first) == ("2.0", False)
    assert {name: second[name] for name in VALIDATION_METRICS} == dict.fromkeys(VALIDATION_METRICS, "0.5")


def test_a_metric_without_a_column_is_named_once(tmp_path: Path) -> None:
    """A header stays as it is, so that a run made before is resumed exactly."""
    (tmp_path / "metrics.csv").write_text("kind,epoch,step,elbo\n")
    logger = MetricsCSV(tmp_path)
    with pytest.warns(UserWarning, match="has no column for kl, loss: its first row did not have"):
        logger.log_metrics({"train/elbo": 1.0, "train/loss": 1.0, "train/kl": 1.0}, 1)
    logger.log_metrics({"train/elbo": 2.0, "train/loss": 1.0}, 2)
    assert logger.path.read_text().split() == ["kind,epoch,step,elbo", "train,,1,1.0", "train,,2,2.0"]


def test_the_elbo_is_at_beta_one_and_the_loss_at_the_runs(run: Path) -> None:
    for row in metrics_rows(run):
        terms = float(row["reconstruction"]), float(row["kl"])
        assert float(row["elbo"]) == pytest.approx(-sum(terms), rel=1e-6)
        if row["kind"] != "val":
            assert float(row["loss"]) == pytest.approx(terms[0] + 3 * terms[1], rel=1e-5)


def test_pictures_come_after_epochs_1_2_and_5_and_from_the_best_checkpoint_at_the_end(run: Path) -> None:
    held = events(run)
    assert set(held.Tags()["images"]) == DRAWN >= {"samples", "kl_per_dimension", "manifold"}
    for name in DRAWN:
        images = held.Images(name)
        assert [image.step for image in images] == [4, 8, 16]
        last = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
        assert np.array_equal(last, np.asarray(Image.open(run / "figures" / f"{name}.png")))
    assert [epoch for epoch in range(1, 1001) if due(epoch, None)] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert [epoch for epoch in range(1, 10) if due(epoch, 3)] == [3, 6, 9]


def test_the_hparams_tab_has_options_numbers_and_the_test_metrics(run: Path) -> None:
    content = {tag: HParamsPluginData.FromString(value) for tag, value in events(run).PluginTagToContent("hparams").items()}
    experiment, begun = content["_hparams_/experiment"].experiment, content["_hparams_/session_start_info"].session_start_info
    shown = {metric.name.tag for metric in experiment.metric_infos}
    assert shown >= {"hp/elbo", "hp/reconstruction", "hp/kl", "hp/active_units", "hp/nll"}
    first = {info.name for info in experiment.hparam_infos if info.differs}
    assert {"beta", "latent_dim"} <= first, "TensorBoard shows these columns first"
    assert not first & {"model", "likelihood", "seed"}
    assert begun.hparams["model"].string_value == "mlp"
    assert (begun.hparams["beta"].number_value, begun.hparams["latent_dim"].number_value) == (3, 2)
    test = json.loads((run / "results.json").read_text())["test"]
    for name in ("elbo", "reconstruction", "kl", "active_units"):
        assert scalars(run, f"hp/{name}")[16] == pytest.approx(test[name], rel=1e-6)


def test_kl_per_dimension_adds_up_to_the_kl(run: Path) -> None:
    for split in ("val", "test"):
        found = json.loads((run / "results.json").read_text())[split]
        assert sum(found["kl_per_dimension"]) == pytest.approx(found["kl"], rel=1e-4)
        assert len(found["kl_per_dimension"]) == 2


def test_images_per_second_are_of_training_alone(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fake clock, a training step takes a second and everything else an hour."""
    now = [0.0]

    def takes(kind: type, name: str, seconds: float) -> None:
        method = getattr(kind, name)

        def slow(*arguments: Any, **named: Any) -> Any:
            now[0] += seconds
            return method(*arguments, **named)

        slow.__signature__ = getattr(method, "__signature__", None)  # type: ignore[attr-defined]
        monkeypatch.setattr(kind, name, slow)

    takes(VAEModule, "training_noise", 1)
    takes(VAEModule, "validation_step", 3600)
    takes(Pictures, "on_train_epoch_end", 3600)
    takes(LastCheckpoint, "_write", 3600)
    monkeypatch.setattr("vae_lightning.training.recorder.time", SimpleNamespace(perf_counter=lambda: now[0]))
    short = ("trainer.max_epochs=2", "trainer.val_check_interval=2", "trainer.log_every_n_steps=3", "callbacks=default")
    folder = runner.trained(*SHORT, *short, "data.batch_size=50", "callbacks.last.every_n_steps=1")
    assert now[0] > 10 * 3600
    for tag in ("step/images_per_second", "epoch/images_per_second"):
        assert set(scalars(folder / "train", tag).values()) == {50.0}
    assert json.loads((folder / "results.json").read_text())["images_per_second"] == 50


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_epoch_elbo_reconstruction_kl_and_beta(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "150")
    overrides = (
        "trainer.log_every_n_steps=1",
        "callbacks=default",
        "~callbacks.film",
        "~callbacks.pictures",
        "callbacks.progress.refresh=1e-9",
    )
    outcome = runner("train", *SHORT, *overrides, "beta=3", "logger=none")
    assert outcome.status == 0
    rows = {row["kind"]: row for row in metrics_rows(runner.runs()[-1])}
    # the last line is drawn before the metrics of the epoch are logged: it shows those of its last step or validation
    metrics = [f"{name} {float(rows['val'][name]):.2f}" for name in ("elbo", "reconstruction", "kl")]
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", outcome.err)
    line = [line for line in re.split(r"[\r\n]+", shown) if "epoch 2/2" in line][-1]
    assert "  ".join([*metrics, "β 3"]) in line


@pytest.mark.usefixtures("no_pictures")
def test_an_optimizer_that_keeps_its_own_learning_rate_is_logged_all_the_same(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "~optimizer.lr", "trainer.max_epochs=1", "logger=none")
    assert float(metrics_rows(folder)[-1]["lr"]) > 0


@pytest.mark.usefixtures("no_pictures")
def test_the_final_metrics_are_those_of_the_best_checkpoint(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "callbacks.best.mode=min", "logger=none")  # so that the first is the best, not the last
    first, last = (float(row["elbo"]) for row in metrics_rows(folder) if row["kind"] == "val")
    results = json.loads((folder / "results.json").read_text())
    assert results["checkpoint"] == "checkpoints/best.ckpt"
    assert results["val"]["elbo"] == pytest.approx(first, rel=1e-6)
    assert last - first > 1


def test_the_projector_has_the_test_images(run: Path, mnist5k: dict[str, Images]) -> None:
    labels = (run / "projector" / "labels.tsv").read_text().split()
    assert [int(label) for label in labels] == mnist5k["test"].labels.tolist()


def test_only_a_resumed_training_tells_tensorboard_to_forget_later_steps(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path)
    logger.resume_from_step(5)
    logger.log_metrics({"train/elbo": -1.0, "test/elbo": -1.0}, 6)
    logger.finalize("success")
    before = set(event_files(tmp_path))
    logger.training_ended()
    logger.log_metrics({"test/elbo": -2.0}, 9)
    logger.finalize("success")

    def forgotten(path: Path) -> list[int]:
        return [event.step for event in EventFileLoader(str(path)).Load() if event.HasField("session_log")]

    assert [forgotten(path) for path in before] == [[6], [6]]
    assert [forgotten(path) for path in set(event_files(tmp_path)) - before] == [[]]
