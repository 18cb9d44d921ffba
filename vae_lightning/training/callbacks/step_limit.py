"""`trainer.max_steps`, counted so that a run which is resumed at the end of an epoch does not end that epoch twice."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer


class StepLimit(Callback):
    """Ends training after `max_steps` optimizer steps.

    The Trainer itself is told of no limit until it has taken up its progress: with one, it takes a finished epoch for one
    that was interrupted.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.fit_loop.epoch_loop.max_steps = self.max_steps


def total_steps(trainer: Trainer) -> float:
    """Optimizer steps of the whole run; inf where it is not known."""
    limits = [callback.max_steps for callback in trainer.callbacks if isinstance(callback, StepLimit)]  # type: ignore[attr-defined]
    return min([float(trainer.estimated_stepping_batches), *map(float, limits)])
