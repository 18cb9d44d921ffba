"""`python train.py sweep=optuna`: a search by Optuna's ask and tell, whose trials are jobs of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import TrialState

from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.errors import RunError, UserError, check_choice, check_int
from vae_lightning.files import read_json
from vae_lightning.noise import derive_seed as seed_of
from vae_lightning.runs.study import open_storage, study_address
from vae_lightning.runs.sweep_record import FINISHED, Job
from vae_lightning.sweeps import space
from vae_lightning.sweeps.sweeper import RecordedSweeper, check_swept, label_of
from vae_lightning.sweeps.watch import Watch

DIRECTIONS = ("minimize", "maximize")


class OptunaSweeper(RecordedSweeper):
    """Searches the swept keys for the best `metrics` of results.json (as `val/elbo`), one direction for each.

    n_trials: jobs in all, those before a resume included; n_jobs: asked for and launched at once; storage: null for a journal in
    the sweep's folder, else the path of a journal or the address of a database, which several sweeps of the same `study_name` may
    share. The sampler is seeded by (its seed, the number of trials), so that a resumed search goes on as if never interrupted.
    """

    def __init__(
        self,
        sampler: DictConfig,
        pruner: DictConfig,
        metrics: Sequence[str],
        directions: Sequence[str],
        n_trials: int = 20,
        n_jobs: int = 1,
        storage: str | None = None,
        study_name: str | None = None,
        params: dict[str, str] | None = None,
        report: bool = True,
    ) -> None:
        super().__init__(params, report)
        self.metrics, self.directions = list(metrics), [str(direction) for direction in directions]
        self.n_trials, self.n_jobs = n_trials, n_jobs
        self.storage, self.study_name = storage, study_name
        self.prunes = "Nop" not in str(pruner.get("_target_"))
        self.seed = sampler.get("seed")

    def check(self, overrides: dict[str, Override]) -> None:
        super().check(overrides)
        check_int("hydra.sweeper.n_trials", self.n_trials)
        check_int("hydra.sweeper.n_jobs", self.n_jobs)
        for direction in self.directions:
            check_choice("hydra.sweeper.directions", direction, DIRECTIONS)
        if not self.metrics or len(self.metrics) != len(self.directions):
            raise UserError(f"hydra.sweeper.directions={self.directions}: one for each of metrics={self.metrics} is needed.")
        if self.prunes and len(self.metrics) > 1:
            raise UserError("hydra/sweeper/pruner: runs can be pruned by one metric only; search one, or leave the pruner out.")
        if OmegaConf.select(self.composed, "trainer.fast_dev_run"):
            raise UserError("trainer.fast_dev_run=true would have no results to search by; set trainer.max_epochs=1 instead.")
        check_swept(overrides, lambda _: True, "")
        if not any(override.is_sweep_override() for override in overrides.values()):
            raise UserError(
                "Nothing to search: give a key a list or an interval, as 'optimizer.lr=tag(log,interval(1e-4,1e-2))'."
            )

    def total(self, overrides: dict[str, Override]) -> int:
        return max(self.n_trials, len(self.record.jobs))

    def run(self, overrides: dict[str, Override], watch: Watch) -> None:
        self.spaces = {key: space.distribution(o) for key, o in overrides.items() if o.is_sweep_override()}
        if self.record.search is None:
            self.record.search = {
                "study_name": self.study_name or self.record.folder.name,
                "storage": self.storage,
                "metrics": self.metrics,
                "directions": self.directions,
                "pruned_by": self.metrics[0] if self.prunes else None,
            }
        self.study()  # made before any job looks for it
        self.finish_begun()
        while len(self.record.jobs) < self.n_trials:
            jobs = self.ask(overrides, min(self.n_jobs, self.n_trials - len(self.record.jobs)))
            self.launch(jobs)
            self.tell(jobs)

    def study(self) -> optuna.Study:
        """The study, with a sampler seeded for the next trials."""
        assert self.record.search is not None
        config = self.composed.copy()
        study = optuna.create_study(
            study_name=self.record.search["study_name"],
            storage=open_storage(study_address(self.record.folder, self.record.search)),
            directions=[optuna.study.StudyDirection[direction.upper()] for direction in self.directions],
            load_if_exists=True,
        )
        if self.seed is not None:
            with open_dict(config):
                config.hydra.sweeper.sampler.seed = seed_of(self.seed, "sampler", len(study.get_trials(deepcopy=False))) % 2**31
        study.sampler = instantiate_node(config, "hydra.sweeper.sampler")
        return study

    def ask(self, overrides: dict[str, Override], count: int) -> list[Job]:
        """As many new jobs, whose swept keys the sampler has set."""
        study = self.study()
        return [self._job(study.ask(self.spaces), overrides) for _ in range(count)]

    def _job(self, trial: optuna.Trial, overrides: dict[str, Override]) -> Job:
        texts = [
            space.text(override, trial.params[key]) if key in self.spaces else override.input_line or ""
            for key, override in overrides.items()
        ]
        return self.record.add(texts, label_of(texts, list(self.spaces)), self._facts(trial))

    @staticmethod
    def _facts(trial: optuna.Trial) -> dict[str, Any]:
        # the id is what another process opens the trial by; Optuna's own integrations take it from the same place
        return {"number": trial.number, "id": trial._trial_id, "params": trial.params}

    def tell(self, jobs: Sequence[Job]) -> None:
        """The results of ended jobs into the study."""
        study = self.study()
        for job in jobs:
            assert job.trial is not None
            state, values = self.record.state(job)["state"], None
            if state == "done":
                values = self.values(job)
            if values is not None and all(math.isfinite(value) for value in values):
                study.tell(job.trial["number"], values, skip_if_finished=True)
            else:
                ended = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
                study.tell(job.trial["number"], state=ended, skip_if_finished=True)

    def values(self, job: Job) -> list[float]:
        """The searched figures of a job. RunError where its results have none of that name."""
        results = read_json(self.record.folder / job.folder / "results.json")
        found = []
        for metric in self.metrics:
            split, _, name = metric.partition("/")
            value = results.get(split, {}).get(name) if isinstance(results.get(split), dict) else None
            if not isinstance(value, int | float):
                known = [f"{s}/{n}" for s in ("val", "test") for n, v in results.get(s, {}).items() if isinstance(v, int | float)]
                raise RunError(f"hydra.sweeper.metrics: results.json of {job.folder} has no {metric}; it has {', '.join(known)}.")
            found.append(float(value))
        return found

    def finish_begun(self) -> None:
        """After an interruption: the jobs that were asked for and did not end, and those that failed, as trials anew."""
        finished = [job for job in self.record.jobs if self.record.state(job)["state"] in FINISHED]
        self.tell(finished)
        study = self.study()
        open_trials = {t.number for t in study.get_trials(deepcopy=False) if not t.state.is_finished()}
        begun = [job for job in self.record.jobs if job not in finished]
        for job in begun:
            assert job.trial is not None
            if job.trial["number"] not in open_trials:
                study.enqueue_trial(job.trial["params"])
                job.trial = self._facts(study.ask(self.spaces))
        if begun:
            self.launch(begun)
            self.tell(begun)
