"""A callback that says whether all threads of a run's process treat subnormal numbers as zero."""

from __future__ import annotations

import sys
from typing import Any

import torch
from lightning.pytorch import Callback

from vae_lightning.subnormals import BITS


def whole_pool_flushes() -> bool:
    """Whether a product that is shared among torch's threads is zero everywhere."""
    numbers = torch.full((4_000_000,), BITS, dtype=torch.int32).view(torch.float32)
    return not bool((numbers * 1).view(torch.int32).any())


class PoolProbe(Callback):
    def on_train_batch_end(self, trainer: Any, *_: object) -> None:
        sys.stdout.write(f"process {trainer.global_rank} flushes: {whole_pool_flushes()}\n")
        sys.stdout.flush()
