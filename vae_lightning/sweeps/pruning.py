"""Ending runs early that a search need not see the end of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, LightningModule, Trainer

from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.errors import UserError
from vae_lightning.runs.study import open_storage, study_address
from vae_lightning.runs.sweep_record import update_state
from vae_lightning.sweeps.job import Pruned

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Pruning(Callback):
    """Reports the searched figure to the study after each validation, and ends the run where the pruner says so.

    The study is opened anew from its storage, so that it works in any process on any machine. A pruner sees steps as epochs.
    """

    def __init__(self, sweep: Path, number: int, search: dict[str, Any], trial: dict[str, Any]) -> None:
        self.sweep, self.number, self.metric = sweep, number, str(search["metrics"][0])
        self.search, self.trial_id = search, trial["id"]
        self._trial: optuna.Trial | None = None

    def trial(self) -> optuna.Trial:
        if self._trial is None:
            pruner = instantiate_node(HydraConfig.instance().cfg, "hydra.sweeper.pruner")  # type: ignore[arg-type]
            storage = open_storage(study_address(self.sweep, self.search))
            study = optuna.load_study(study_name=self.search["study_name"], storage=storage, pruner=pruner)
            self._trial = optuna.Trial(study, self.trial_id)
            frozen = next(t for t in study.get_trials(deepcopy=False) if t.number == self._trial.number)
            self._reported = set(frozen.intermediate_values)
        return self._trial

    def _known(self) -> set[int]:
        self.trial()
        return self._reported

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        prune = False
        if trainer.is_global_zero:
            if self.metric not in trainer.callback_metrics:
                there = ", ".join(sorted(trainer.callback_metrics))
                raise UserError(f"hydra.sweeper.metrics={self.metric}: a pruner needs a figure of each validation ({there}).")
            epoch = trainer.current_epoch + 1
            if epoch not in self._known():  # else it was before an interruption
                self.trial().report(float(trainer.callback_metrics[self.metric]), epoch)
            prune = self.trial().should_prune()
        if trainer.strategy.broadcast(prune):
            if trainer.is_global_zero:
                update_state(self.sweep, self.number, pruned=True, epoch=trainer.current_epoch + 1)
            raise Pruned(f"pruned after epoch {trainer.current_epoch + 1}")
