"""How far a training run has got in its data, and where it can be interrupted.

`resume=` restores the order of the data in three steps. A checkpoint holds the `Position` defined here. On a resume,
`VAEDataModule` in `datamodule.py` starts its sampler at that epoch and batch. The sampler in `data/sampler.py` computes the
permutation of an epoch from (seed, epoch) and skips the batches that the run has already seen.
"""

from __future__ import annotations

from typing import NamedTuple

from lightning.pytorch import Trainer

from vae_lightning.training import private_apis as lightning_loops


class Position(NamedTuple):
    """The position after `epoch` whole epochs and `batch` batches of the next one."""

    epoch: int
    batch: int


def position(trainer: Trainer) -> Position:
    """Return the position of a trainer that is running, or has just loaded its progress from a checkpoint."""
    return Position(lightning_loops.epochs_done(trainer), lightning_loops.batches_done(trainer))


def batch_layout(trainer: Trainer) -> dict[str, int | float | None]:
    """Return what the batches of an epoch depend on.

    If one of these changed mid-epoch, some images would be seen twice and others never.
    """
    data = getattr(getattr(trainer, "datamodule", None), "data", None)  # a user's own data module may lack it
    return {
        "data.batch_size": getattr(data, "batch_size", None),
        "trainer.accumulate_grad_batches": trainer.accumulate_grad_batches,
        "processes": trainer.world_size,
        "batches in an epoch": trainer.num_training_batches,
    }


def between_steps(trainer: Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint written after this batch can be resumed exactly.

    It cannot while accumulated gradients wait for more batches. Nor can it just before the end of an epoch, a validation or the
    end of the run, which Lightning would skip on a resume.
    """
    done = batch_idx + 1
    if lightning_loops.on_last_batch(trainer) or done >= trainer.num_training_batches or done % trainer.accumulate_grad_batches:
        return False
    if trainer.should_stop or 0 <= lightning_loops.step_limit(trainer) <= trainer.global_step:
        return False
    every = lightning_loops.batches_between_validations(trainer)
    if every is None or every == float("inf"):
        return True
    counted = lightning_loops.batches_of_all_epochs(trainer) if trainer.check_val_every_n_epoch is None else done
    return bool(counted % every)
