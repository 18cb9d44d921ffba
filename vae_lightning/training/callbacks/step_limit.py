"""`trainer.max_steps`, applied so that a run resumed at the end of an epoch does not repeat the end of that epoch."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from vae_lightning.training.private_apis import set_step_limit


class StepLimit(Callback):
    """Ends training after `max_steps` optimizer steps.

    The Trainer gets the limit only after it has loaded the checkpoint: with a limit, it would mistake a finished epoch for an
    interrupted one.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        set_step_limit(trainer, self.max_steps)


def total_steps(trainer: Trainer) -> float:
    """Return the number of optimizer steps in the whole run; infinity if it is unknown."""
    limits = [callback.max_steps for callback in trainer.callbacks if isinstance(callback, StepLimit)]  # type: ignore[attr-defined]
    return min([float(trainer.estimated_stepping_batches), *map(float, limits)])
