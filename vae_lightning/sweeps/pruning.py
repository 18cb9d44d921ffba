"""Stops unpromising runs of a search early."""

from __future__ import annotations

from pathlib import Path

import optuna
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import OmegaConf

from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.errors import UserError
from vae_lightning.runs.study import open_storage, study_address
from vae_lightning.runs.sweep_record import SearchRecord, TrialRecord, update_state
from vae_lightning.sweeps.job import Pruned

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Pruning(Callback):
    """Reports the searched metric to the study after each validation, and stops the run if the pruner says so.

    The study is opened anew from its storage, so this works in any process on any machine. The pruner's steps are epochs.

    Args:
        sweep: the sweep's folder.
        number: the job's number.
        search: the `search` entry of the sweep's record.
        trial: the job's trial, as recorded by `OptunaSweeper`.
    """

    def __init__(self, sweep: Path, number: int, search: SearchRecord, trial: TrialRecord) -> None:
        self.sweep, self.number, self.metric = sweep, number, str(search["metrics"][0])
        self.search, self.trial_id = search, trial["id"]
        self._trial: optuna.Trial | None = None

    def trial(self) -> optuna.Trial:
        """Return the job's trial in the study."""
        if self._trial is None:
            pruner = instantiate_node(OmegaConf.create({"hydra": HydraConfig.get()}), "hydra.sweeper.pruner")
            storage = open_storage(study_address(self.sweep, self.search))
            study = optuna.load_study(study_name=self.search["study_name"], storage=storage, pruner=pruner)
            self._trial = optuna.Trial(study, self.trial_id)
            frozen = next(t for t in study.get_trials(deepcopy=False) if t.number == self._trial.number)
            self._reported = set(frozen.intermediate_values)
        return self._trial

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the metric and prune.

        Raises:
            Pruned: the run is to stop.
            UserError: validation does not measure the metric.
        """
        if trainer.sanity_checking:
            return
        epoch = trainer.current_epoch + 1
        prune = trainer.is_global_zero and self._report(trainer, epoch)
        if trainer.strategy.broadcast(prune):
            if trainer.is_global_zero:
                update_state(self.sweep, self.number, pruned=True, epoch=epoch)
            raise Pruned(f"pruned after epoch {epoch}")

    def _report(self, trainer: Trainer, epoch: int) -> bool:
        if self.metric not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise UserError(
                f"hydra.sweeper.metrics={self.metric}: a pruner needs a metric that is logged at every validation ({known})."
            )
        trial = self.trial()
        if epoch not in self._reported:  # otherwise it was reported before an interruption
            trial.report(float(trainer.callback_metrics[self.metric]), epoch)
        return trial.should_prune()
