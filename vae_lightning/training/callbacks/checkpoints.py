"""When `checkpoints/best.ckpt` and `checkpoints/last.ckpt` are written."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from vae_lightning.errors import UserError, check_choice, check_int, check_number
from vae_lightning.runs.checkpoint_files import BEST, LAST
from vae_lightning.training.data_position import between_steps
from vae_lightning.training.processes.interrupts import Interrupted, interrupts

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule

POLL_EVERY = 10  # batches after which processes tell each other whether one of them was asked to stop


class RunCheckpoint(Checkpoint):
    """A checkpoint with a fixed name in the run folder."""

    filename: str

    def write(self, trainer: Trainer) -> None:
        """Write the checkpoint. Called in every process at once; the main process writes."""
        trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / self.filename)


class BestCheckpoint(RunCheckpoint):
    """`best.ckpt`: the checkpoint with the best validation metric so far.

    It is written when the metric improves: at the end of the epoch if validation runs once per epoch, else after validation.

    Args:
        monitor: the validation metric, such as `val/elbo`.
        mode: `max` if its largest value is the best, `min` if its smallest.
    """

    filename, state_key = BEST, "best"  # constant, so that Lightning does not rebuild the key in every hook of every step

    def __init__(self, monitor: str = "val/elbo", mode: str = "max") -> None:
        self.monitor, self.mode = monitor, check_choice("mode", mode, ("max", "min"))
        self.best: float | None = None
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if trainer.val_check_interval == 1.0:
            self._validated = True  # wait for the end of the epoch, from which a run can be resumed
        else:
            self._write_if_best(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._validated:
            self._validated = False
            self._write_if_best(trainer)

    def _write_if_best(self, trainer: Trainer) -> None:
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            raise UserError(f"callbacks.best.monitor={self.monitor}: must be one of {', '.join(sorted(metrics))}.")
        score = float(metrics[self.monitor])
        better = self.best is None or (score > self.best if self.mode == "max" else score < self.best)
        if better and math.isfinite(score):
            self.best = score
            self.write(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class LastCheckpoint(RunCheckpoint):
    """`last.ckpt`: the latest state of the run, from which `resume=` continues. The one before is kept as `previous.ckpt`.

    Also written when SIGTERM or Ctrl-C ends the run.

    Args:
        every_n_epochs: write after this many epochs, and at the end of the run.
        every_n_steps: also write within an epoch, this many optimizer steps after the last checkpoint.
        every_n_minutes: also write within an epoch, this many minutes after the last checkpoint.
    """

    filename, state_key = LAST, "last"

    def __init__(self, every_n_epochs: int = 1, every_n_steps: int | None = None, every_n_minutes: float | None = None) -> None:
        self.every_n_epochs = check_int("every_n_epochs", every_n_epochs)
        self.every_n_steps = None if every_n_steps is None else check_int("every_n_steps", every_n_steps)
        minutes = every_n_minutes
        self.seconds = math.inf if minutes is None else 60 * check_number("every_n_minutes", minutes, 0, above=True)
        self._step, self._time, self._due = 0, 0.0, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step, self._time, self._due = trainer.global_step, time.monotonic(), False
        interrupts.hold()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        interrupts.release()
        if interrupts.received is not None and trainer.is_global_zero:
            raise Interrupted(interrupts.received)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        interrupts.release()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: VAEModule,  # type: ignore[override]  # our module
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        self._poll(trainer, batch_idx)
        steps = self.every_n_steps is not None and trainer.global_step - self._step >= self.every_n_steps
        if (steps or self._due) and between_steps(trainer, batch_idx):
            pl_module.recorder.pause_clock()
            self._write(trainer)
            pl_module.recorder.resume_clock()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._poll(trainer)
        if self._due or (trainer.current_epoch + 1) % self.every_n_epochs == 0 or self._is_last_epoch(trainer):
            self._write(trainer)

    def _poll(self, trainer: Trainer, batch_idx: int = -1) -> None:
        """Check whether the clock or a signal asks for a checkpoint; several processes decide together, at the same step."""
        alone = trainer.world_size == 1
        if alone or (batch_idx + 1) % POLL_EVERY == 0:
            due = interrupts.pending or time.monotonic() - self._time >= self.seconds
            self._due = self._due or (due if alone else trainer.strategy.reduce_boolean_decision(due, all=False))

    def _is_last_epoch(self, trainer: Trainer) -> bool:
        last_epoch = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch + 1
        return last_epoch or trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step

    def _write(self, trainer: Trainer) -> None:
        self.write(trainer)
        self._step, self._time, self._due = trainer.global_step, time.monotonic(), False
        if interrupts.requeue is not None and trainer.is_global_zero:
            requeue, interrupts.requeue = interrupts.requeue, None
            requeue()
            for path in Path(trainer.default_root_dir).glob("hpc_ckpt_*.ckpt"):
                path.unlink()  # Lightning's own checkpoint has the same content as last.ckpt
        stop = interrupts.received
        if trainer.world_size > 1:
            stop = trainer.strategy.broadcast(stop)
            interrupts.received = stop
        if stop is not None:
            raise Interrupted(stop) if trainer.is_global_zero else SystemExit(0)
