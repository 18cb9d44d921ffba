"""How the Trainer writes and reads checkpoint files: atomically, and tensors and plain data only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from vae_lightning.files import atomic_write
from vae_lightning.runs.checkpoint_files import LAST, PREVIOUS, link_or_copy
from vae_lightning.training.processes.faults import explain_faults


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a sibling file, flushes it to the disk and renames it, so that no reader sees a half-written checkpoint.

    The last.ckpt that it replaces is kept as previous.ckpt.

    Args:
        folder: the run folder, for the error message if the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)

        def keep_previous() -> None:
            if target.name == LAST and target.exists():
                link_or_copy(target, target.with_name(PREVIOUS))

        with explain_faults(self.folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target, durable=True, before_rename=keep_previous) as file:
                torch.save(checkpoint, file)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)
