"""Stops the clock of `images_per_second` at the end of an epoch's training steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch import Callback, Trainer

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


class EpochClock(Callback):
    """Stops the recorder's clock before pictures are drawn and checkpoints are written.

    It must be the first callback: Lightning calls callbacks in order, before the module.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]  # our module
        pl_module.recorder.pause_clock()
