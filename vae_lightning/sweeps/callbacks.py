"""What a job of a sweep records while it trains."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from vae_lightning.errors import UserError
from vae_lightning.runs.sweep_record import job_of_folder, load, update_state
from vae_lightning.sweeps.job import parallel_jobs
from vae_lightning.training.context import SweepJob
from vae_lightning.training.module import VAEModule


class JobProgress(Callback):
    """Writes the epoch and the latest validation metrics to the job's state, at most once every `seconds`."""

    def __init__(self, sweep: Path, number: int, seconds: float = 1.0) -> None:
        self.sweep, self.number, self.seconds = sweep, number, seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started, self._next = time.monotonic(), time.monotonic() + self.seconds

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state."""
        now = time.monotonic()
        if not trainer.is_global_zero or now < self._next:
            return
        self._next = now + self.seconds
        assert isinstance(pl_module, VAEModule)
        val = pl_module.recorder.history.get("val", {})
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        update_state(
            self.sweep,
            self.number,
            epoch=trainer.current_epoch + 1,
            epochs=last,
            trained_seconds=round(now - self._started, 2),
            metrics={"val": {name: v for name, v in val.items() if isinstance(v, int | float) and math.isfinite(v)}},
        )


def sweep_job(config: DictConfig, folder: Path) -> SweepJob:
    """Return what the sweep adds to the run of this job folder.

    Raises:
        UserError: the job's strategy does not work in a sweep.
    """
    return SweepJob(job_callbacks(folder), strategy_in_sweep(config.trainer.strategy))


def job_callbacks(folder: Path) -> list[Callback]:
    """Return the callbacks that the job of this run folder gets in addition to the configured ones."""
    place = job_of_folder(folder)
    if place is None:
        return []
    sweep, number = place
    found: list[Callback] = [JobProgress(sweep, number)]
    record = load(sweep)
    trial = record.jobs[number].trial
    if record.search is not None and trial is not None and record.search["pruned_by"] is not None:
        from vae_lightning.sweeps.pruning import Pruning

        found.append(Pruning(sweep, number, record.search, trial))
    return found


def strategy_in_sweep(strategy: str) -> str:
    """Return the strategy for training a job.

    Plain `ddp` would run the whole command again, and so the whole sweep: the job's processes are spawned instead. A worker of
    the joblib launcher cannot spawn processes, but it can fork them unless CUDA is in use.

    Raises:
        UserError: no strategy works.
    """
    if parallel_jobs() == 1:
        return "ddp_spawn" if strategy == "ddp" else strategy
    if strategy == "ddp" and not torch.cuda.is_available():
        return "ddp_fork"
    if "ddp" in strategy and strategy != "ddp_fork":
        raise UserError(
            f"trainer.strategy={strategy}: jobs that the joblib launcher runs in parallel cannot start processes of their own; "
            "leave out hydra/launcher=joblib or the strategy."
        )
    return strategy
