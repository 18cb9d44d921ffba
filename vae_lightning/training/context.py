"""What the parts of a run share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig

from vae_lightning.runs.console import RunLog
from vae_lightning.training.datamodule import VAEDataModule
from vae_lightning.training.module import VAEModule


@dataclass(frozen=True)
class SweepJob:
    """What a run in a sweep has beside its configuration; the sweep makes it, so that training need not know of sweeps.

    Args:
        callbacks: report progress to the sweep, and end runs that it prunes.
        strategy: Lightning's strategy that the job can be trained by, in place of `trainer.strategy`.
    """

    callbacks: Sequence[Callback]
    strategy: str


@dataclass(frozen=True)
class TrainingContext:
    """A run that is put together: its configuration and folder, what is trained on what and by what, and where it reports."""

    config: DictConfig
    folder: Path
    module: VAEModule
    data: VAEDataModule
    trainer: Trainer
    report: RunLog
