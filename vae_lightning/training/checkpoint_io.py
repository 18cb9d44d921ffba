"""How the Trainer writes and reads checkpoints: beside and renamed, tensors and plain data only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from vae_lightning.files import atomic_write
from vae_lightning.runs.checkpoint_files import LAST, PREVIOUS, link_or_copy


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a sibling file, flushes it to the disk and renames it, so that a half-written checkpoint is never taken for one.

    The last.ckpt that was there stays as previous.ckpt.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)

        def keep_previous() -> None:
            if target.name == LAST and target.exists():
                link_or_copy(target, target.with_name(PREVIOUS))

        with atomic_write(target, durable=True, before_rename=keep_previous) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)
