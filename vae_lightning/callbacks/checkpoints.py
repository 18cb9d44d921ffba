"""`checkpoints/best.ckpt` and `last.ckpt`, written beside and renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from vae_lightning.errors import check_choice, check_int


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a sibling file, flushes it to the disk and renames it, so that a half-written checkpoint is never taken for one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the checkpoint of the best validation figure so far."""

    state_key = "best"  # ModelCheckpoint's own is composed anew at each hook of each step

    def __init__(self, monitor: str = "val/elbo", mode: str = "max") -> None:
        check_choice("mode", mode, ("max", "min"))
        super().__init__(filename="best", monitor=monitor, mode=mode, auto_insert_metric_name=False, enable_version_counter=False)


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt`: where the run is, after every `every_n_epochs` epochs."""

    state_key = "last"

    def __init__(self, every_n_epochs: int = 1) -> None:
        super().__init__(
            filename="last",
            save_top_k=1,
            every_n_epochs=check_int("every_n_epochs", every_n_epochs),
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
