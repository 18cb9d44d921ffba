"""Lightning's early stopping, extended to remember across a resume that it has stopped the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer, callbacks


class EarlyStopping(callbacks.EarlyStopping):
    """Ends training when the monitored metric no longer improves. The arguments are those of Lightning's `EarlyStopping`.

    A stopped run stays stopped when it is resumed, unless its patience is raised (`callbacks.early_stopping.patience=20`).
    """

    stopped = False

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        patience = self.patience
        super().load_state_dict(state_dict)
        self.stopped = has_stopped(state_dict, patience)
        self.patience = patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remember_stop(super().on_validation_end, trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remember_stop(super().on_train_epoch_end, trainer, pl_module)

    def _remember_stop(
        self, hook: Callable[[Trainer, LightningModule], None], trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Call Lightning's hook and note whether it stopped the run: another callback may have done so before."""
        before, trainer.should_stop = trainer.should_stop, False
        hook(trainer, pl_module)
        self.stopped = self.stopped or trainer.should_stop
        trainer.should_stop = trainer.should_stop or before


def has_stopped(state: dict[str, Any], patience: int) -> bool:
    """Whether a run stays stopped with this patience, given the callback's `state` in its checkpoint."""
    exhausted = state["patience"] <= state["wait_count"]
    return bool(state.get("stopped")) and not (exhausted and state["wait_count"] < patience)
