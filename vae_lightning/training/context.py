"""What the functions that train a run share."""

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
    """What a sweep adds to one of its runs, so that training does not have to know about sweeps.

    Args:
        callbacks: report progress to the sweep, and end the runs that it prunes.
        strategy: the Lightning strategy to train the job with, instead of `trainer.strategy`.
    """

    callbacks: Sequence[Callback]
    strategy: str


@dataclass(frozen=True)
class TrainingContext:
    """A run ready to be trained.

    Args:
        config: its complete configuration.
        folder: its run folder.
        module: trains the model.
        data: serves the batches.
        trainer: Lightning's Trainer.
        report: prints to the terminal and the run's log.
    """

    config: DictConfig
    folder: Path
    module: VAEModule
    data: VAEDataModule
    trainer: Trainer
    report: RunLog
