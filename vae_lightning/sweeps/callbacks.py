"""What a job of a sweep writes down while it trains."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from vae_lightning.sweeps import record


class JobProgress(Callback):
    """Epoch and last validation figures into the job's state, at most once in `seconds`."""

    def __init__(self, sweep: Path, number: int, seconds: float = 1.0) -> None:
        self.sweep, self.number, self.seconds = sweep, number, seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun, self._due = time.monotonic(), time.monotonic() + self.seconds

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        now = time.monotonic()
        if not trainer.is_global_zero or now < self._due:
            return
        self._due = now + self.seconds
        val = {
            k: v for k, v in pl_module.recorder.history.get("val", {}).items() if isinstance(v, int | float) and math.isfinite(v)
        }
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        record.update_state(
            self.sweep,
            self.number,
            epoch=trainer.current_epoch + 1,
            epochs=last,
            trained_seconds=round(now - self._begun, 2),
            metrics={"val": val},
        )


def callbacks_of(folder: Path) -> list[Callback]:
    """The callbacks that the job of this run folder gets beside those of its configuration."""
    place = record.place_of(folder)
    if place is None:
        return []
    sweep, number = place
    found: list[Callback] = [JobProgress(sweep, number)]
    whole = record.load(sweep)
    trial = whole.jobs[number].trial
    if whole.search is not None and trial is not None and whole.search["pruned_by"] is not None:
        from vae_lightning.sweeps.pruning import Pruning

        found.append(Pruning(sweep, number, whole.search, trial))
    return found
