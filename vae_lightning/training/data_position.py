"""Where in its data a training run is, and what that place depends on."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning.pytorch import Trainer


class Position(NamedTuple):
    """`epoch` epochs are done, and `batch` batches of the next one; 0 ≤ batch."""

    epoch: int
    batch: int


def position(trainer: Trainer) -> Position:
    """Of a running trainer, or of one whose progress was just read from a checkpoint."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return Position(epochs.processed, batches.processed if epochs.ready > epochs.processed else 0)


def batch_layout(trainer: Trainer) -> dict[str, Any]:
    """What the batches of an epoch depend on; changed in the middle of one, it would show images twice, and others never."""
    data = getattr(getattr(trainer, "datamodule", None), "data", None)  # loaders of one's own have none
    return {
        "data.batch_size": getattr(data, "batch_size", None),
        "trainer.accumulate_grad_batches": trainer.accumulate_grad_batches,
        "processes": trainer.world_size,
        "batches in an epoch": trainer.num_training_batches,
    }


def between_steps(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the run can be left after this batch and taken up again as if it had not been.

    Not where gradients wait for more batches, and not where an epoch's end, a validation or the run's end comes next: Lightning
    would leave these out when it goes on from there.
    """
    done = batch_idx + 1
    loop = trainer.fit_loop.epoch_loop
    if loop.batch_progress.is_last_batch or done >= trainer.num_training_batches or done % trainer.accumulate_grad_batches:
        return False
    if trainer.should_stop or 0 <= loop.max_steps <= trainer.global_step:
        return False
    every: Any = trainer.val_check_batch
    if every is None or every == float("inf"):
        return True
    counted = loop.total_batch_idx + 1 if trainer.check_val_every_n_epoch is None else done
    return bool(counted % every)
