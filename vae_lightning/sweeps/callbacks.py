"""What a job of a sweep writes down while it trains."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from vae_lightning.errors import UserError
from vae_lightning.runs.sweep_record import load, place_of, update_state
from vae_lightning.sweeps.job import parallel_jobs
from vae_lightning.training.context import SweepJob


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
        update_state(
            self.sweep,
            self.number,
            epoch=trainer.current_epoch + 1,
            epochs=last,
            trained_seconds=round(now - self._begun, 2),
            metrics={"val": val},
        )


def sweep_job(config: DictConfig, folder: Path) -> SweepJob:
    """What the sweep adds to the run of this job folder. UserError where the job cannot be trained by its strategy."""
    return SweepJob(job_callbacks(folder), strategy_in_sweep(config.trainer.strategy))


def job_callbacks(folder: Path) -> list[Callback]:
    """The callbacks that the job of this run folder gets beside those of its configuration."""
    place = place_of(folder)
    if place is None:
        return []
    sweep, number = place
    found: list[Callback] = [JobProgress(sweep, number)]
    whole = load(sweep)
    trial = whole.jobs[number].trial
    if whole.search is not None and trial is not None and whole.search["pruned_by"] is not None:
        from vae_lightning.sweeps.pruning import Pruning

        found.append(Pruning(sweep, number, whole.search, trial))
    return found


def strategy_in_sweep(strategy: str) -> str:
    """The strategy that a job can be trained by; UserError where there is none.

    Plain `ddp` starts the whole command again, and so the whole sweep: a job's processes are spawned instead. A worker of the
    joblib launcher cannot spawn; it can fork, unless the driver of a GPU was begun.
    """
    if parallel_jobs() == 1:
        return "ddp_spawn" if strategy == "ddp" else strategy
    if strategy == "ddp" and not torch.cuda.is_available():
        return "ddp_fork"
    if "ddp" in strategy and strategy != "ddp_fork":
        raise UserError(
            f"trainer.strategy={strategy}: jobs that run side by side by the joblib launcher cannot have processes of their own; "
            "leave out hydra/launcher=joblib, or the strategy."
        )
    return strategy
