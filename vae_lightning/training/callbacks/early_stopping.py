"""Lightning's early stopping, made to stay stopped across a resume."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer, callbacks


class EarlyStopping(callbacks.EarlyStopping):
    """Ends training once the monitored figure no longer improves; every argument is Lightning's.

    A run that was stopped stays so when it is resumed, unless its patience is raised (`callbacks.early_stopping.patience=20`).
    """

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        patience = self.patience
        super().load_state_dict(state_dict)
        self.stopped = stopped(state_dict, patience)
        self.patience = patience

    stopped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped

    def _run_early_stopping_check(self, trainer: Trainer) -> None:
        before, trainer.should_stop = trainer.should_stop, False
        super()._run_early_stopping_check(trainer)
        self.stopped = self.stopped or trainer.should_stop
        trainer.should_stop = trainer.should_stop or before


def stopped(state: dict[str, Any], patience: int) -> bool:
    """Whether a checkpoint's state of early stopping still means that the run has ended."""
    exhausted = state["patience"] <= state["wait_count"]
    return bool(state.get("stopped")) and not (exhausted and state["wait_count"] < patience)
