"""What the parts of a run share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Trainer
from omegaconf import DictConfig

from vae_lightning.console import Report
from vae_lightning.data.datamodule import VAEDataModule
from vae_lightning.module import VAEModule


@dataclass(frozen=True)
class Run:
    """A run that is put together: its configuration and folder, what is trained on what and by what, and where it reports."""

    config: DictConfig
    folder: Path
    module: VAEModule
    data: VAEDataModule
    trainer: Trainer
    report: Report
