"""Where an epoch's training ends for the clock by which images/s are counted."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer


class EpochClock(Callback):
    """Stops the module's clock before the epoch's pictures are drawn and its checkpoints written.

    To be the first of the callbacks: Lightning calls them before the module, each in its turn.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.recorder.pause_clock()
