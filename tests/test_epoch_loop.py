"""The written-out step does to weights, counters, metrics and callbacks what Lightning's own does, or leaves it to Lightning."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.running import SHORT, Runner
from vae_lightning.epoch_loop import EpochLoop
from vae_lightning.lean import NoProfiler, lean_steps


class Tiny(LightningModule):
    """A step with all that may hang on one: dropout, logged values, a schedule of the learning rate, validation."""

    def __init__(self, interval: str = "step") -> None:
        super().__init__()
        self.interval = interval
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.seen: list[int] = []
        self.validated: list[int] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append(batch_idx)
        loss = self.layers(batch).float().square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.trainer.global_step)
        self.log("val", self.layers(batch).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": self.interval}}


class Silent(Tiny):
    """Logs nothing while it trains."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append(batch_idx)
        return self.layers(batch).float().square().mean()


class Plateau(Silent):
    """Its learning rate falls whenever validation, in the middle of an epoch and at its end, is no better."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", threshold=1e9, patience=0, factor=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step", "monitor": "val", "strict": False},
        }


class OwnBackward(Tiny):
    def backward(self, loss: Tensor) -> None:
        (2 * loss).backward()


class Heard(Callback):
    """What the hooks of a step were told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Tensor, batch_idx: int) -> None:
        self.heard.append((batch_idx, batch.sum().item(), trainer.global_step, trainer.is_last_batch))

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        loss = outputs["loss"]
        self.heard.append((batch_idx, loss.item(), loss.requires_grad, trainer.global_step, dict(trainer.callback_metrics)))


class StopsAfter(Callback):
    """Asks the trainer to stop in the middle of its first epoch."""

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        trainer.should_stop = batch_idx == 2


class Saved(Callback):
    """Saves the run in the middle of its first validation, and counts validations."""

    def __init__(self, path: Path) -> None:
        self.path, self.validations = path, 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.validations += 1
        if not self.path.exists():
            trainer.save_checkpoint(self.path)


class Gradients(Callback):
    """Counts what it is told of gradients."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def on_after_backward(self, *_: object) -> None:
        self.calls["backward"] += 1


class Kept(Logger):
    """Keeps what it is given."""

    name = version = "kept"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing is kept of them."""


def fit(
    loop: type[_TrainingEpochLoop], module: LightningModule, *callbacks: Callback, checkpoint: Path | None = None, **settings: Any
) -> Trainer:
    given: dict[str, Any] = {"max_epochs": 2, "accelerator": "cpu", "profiler": NoProfiler(), "log_every_n_steps": 1}
    given |= dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    given |= {"num_sanity_val_steps": 0, **settings}
    trainer = Trainer(callbacks=list(callbacks), logger=Kept(), **given)
    trainer.fit_loop.epoch_loop = loop(trainer, trainer.min_steps, trainer.max_steps)
    torch.manual_seed(1)
    rows: Any = torch.arange(30.0).view(10, 3) / 30
    with lean_steps(trainer, module):
        trainer.fit(module, DataLoader(rows, batch_size=2), DataLoader(rows, batch_size=5), ckpt_path=checkpoint)
    return trainer


SETTINGS = [
    {},
    {"precision": "bf16-mixed"},
    {"val_check_interval": 2},
    {"max_steps": 7},
    {"limit_train_batches": 3, "max_epochs": 3},
]


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_all_is_as_by_lightnings_own_step(settings: dict[str, Any], interval: str) -> None:
    ours, theirs, told, told_by_theirs = Tiny(interval), Tiny(interval), Heard(), Heard()
    a, b = fit(EpochLoop, ours, told, **settings), fit(_TrainingEpochLoop, theirs, told_by_theirs, **settings)
    assert a.fit_loop.epoch_loop.written_out  # type: ignore[attr-defined]
    assert a.fit_loop.state_dict() == b.fit_loop.state_dict()
    assert (a.global_step, a.current_epoch, ours.seen) == (b.global_step, b.current_epoch, theirs.seen)
    assert told.heard == told_by_theirs.heard
    assert len(told.heard) >= 14
    assert a.callback_metrics == b.callback_metrics
    assert a.logger.rows == b.logger.rows  # type: ignore[union-attr]
    assert [step for step, row in a.logger.rows if "loss_step" in row] == list(range(a.global_step))  # type: ignore[union-attr]
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert a.optimizers[0].param_groups[0]["lr"] == b.optimizers[0].param_groups[0]["lr"] < 0.1


AFTER_A_STEP = [
    (Silent, {}),
    (Silent, {"val_check_interval": 2}),
    (Silent, {"check_val_every_n_epoch": 2, "max_epochs": 4}),
    (Silent, {"check_val_every_n_epoch": None, "val_check_interval": 3}),
    (Silent, {"max_steps": 7}),
    (Plateau, {"max_epochs": 3}),
    (Plateau, {"max_epochs": 3, "val_check_interval": 2}),
]


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau")  # before the first validation there is no figure
@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize(("kind", "settings"), AFTER_A_STEP, ids=str)
def test_after_a_step_comes_what_lightning_has_come(kind: type[Tiny], settings: dict[str, Any], stops: bool) -> None:
    callbacks = [StopsAfter()] if stops else []
    ours, theirs = kind(), kind()
    a, b = fit(EpochLoop, ours, *callbacks, **settings), fit(_TrainingEpochLoop, theirs, *callbacks, **settings)
    assert a.fit_loop.epoch_loop.written_out  # type: ignore[attr-defined]
    assert (ours.seen, ours.validated, a.global_step) == (theirs.seen, theirs.validated, b.global_step)
    assert a.fit_loop.state_dict() == b.fit_loop.state_dict()
    assert a.fit_loop.epoch_loop._batches_that_stepped == b.fit_loop.epoch_loop._batches_that_stepped
    assert a.optimizers[0].param_groups[0]["lr"] == b.optimizers[0].param_groups[0]["lr"]
    assert a.callback_metrics == b.callback_metrics
    assert a.logger.rows == b.logger.rows  # type: ignore[union-attr]
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_run_saved_at_its_validation_goes_on_as_by_lightnings_own_loop(tmp_path: Path) -> None:
    path = tmp_path / "saved.ckpt"
    settings: dict[str, Any] = {"val_check_interval": 2}
    fit(EpochLoop, Tiny(), Saved(path), **settings)
    ours, theirs, a, b = Tiny(), Tiny(), Saved(path), Saved(path)
    first, second = (
        fit(loop, module, saved, checkpoint=path, **settings)
        for loop, module, saved in ((EpochLoop, ours, a), (_TrainingEpochLoop, theirs, b))
    )
    assert (a.validations, ours.seen) == (b.validations, theirs.seen)
    assert first.fit_loop.state_dict() == second.fit_loop.state_dict()
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


ELSE = [
    ({"gradient_clip_val": 0.01}, Tiny),
    ({"accumulate_grad_batches": 2}, Tiny),
    ({"precision": "64-true"}, Tiny),
    ({"profiler": None}, Tiny),
    ({}, OwnBackward),
]


@pytest.mark.parametrize(("settings", "kind"), ELSE, ids=str)
def test_a_step_of_which_more_is_asked_is_lightnings(settings: dict[str, Any], kind: type[Tiny]) -> None:
    ours, theirs = kind(), kind()
    trainer = fit(EpochLoop, ours, **settings)
    fit(_TrainingEpochLoop, theirs, **settings)
    assert not trainer.fit_loop.epoch_loop.written_out  # type: ignore[attr-defined]
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_callback_that_looks_at_gradients_is_called() -> None:
    gradients = Gradients()
    fit(EpochLoop, Tiny(), gradients)
    assert gradients.calls["backward"] == 10


def test_an_unread_version_of_lightning_does_its_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightning, "__version__", "2.7.0")
    assert not fit(EpochLoop, Tiny()).fit_loop.epoch_loop.written_out  # type: ignore[attr-defined]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_trains_by_written_out_steps(precision: str, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    step = EpochLoop.step

    def counted(self: EpochLoop, batch: Any, index: int) -> dict[str, Tensor]:
        steps.append(index)
        return step(self, batch, index)

    monkeypatch.setattr(EpochLoop, "step", counted)
    runner.trained(*SHORT, "trainer=cpu", f"trainer.precision={precision}")
    assert steps == [0, 1, 2, 3] * 2
