"""`python train.py sweep=optuna`: a search with Optuna's ask and tell, whose trials are the jobs of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import TrialState

from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.config.messages import one_line
from vae_lightning.errors import RunError, UserError, check_choice, check_int, printable
from vae_lightning.noise import derive_seed
from vae_lightning.runs.schemas import read_results
from vae_lightning.runs.study import open_storage, study_address
from vae_lightning.runs.sweep_record import FILE, FINISHED, Job, TrialRecord
from vae_lightning.sweeps.search_space import as_override, distribution
from vae_lightning.sweeps.sweeper import RecordedSweeper, check_swept, label_of

DIRECTIONS = ("minimize", "maximize")


class DamagedFile(Exception):
    """The results of a job cannot be read: its trial has failed, and the search continues."""


class OptunaSweeper(RecordedSweeper):
    """Searches the swept keys for the best metrics in results.json.

    The sampler is seeded with its seed and the number of trials so far, so a resumed search continues as if it had never been
    interrupted.

    Args:
        sampler: the configuration of Optuna's sampler.
        pruner: the configuration of Optuna's pruner.
        metrics: names such as `val/elbo`.
        directions: `minimize` or `maximize` for each metric.
        n_trials: the total number of jobs, including those before a resume.
        n_jobs: how many trials are proposed and launched at once.
        storage: null for a journal in the sweep's folder, else the path of a journal or the address of a database.
        study_name: sweeps with the same storage and name share a study; null for the name of the sweep's folder.
        params: overrides by key; the command line takes precedence.
        report: whether to write the tables and the page at the end.
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
        """Check this sweeper's own settings too."""
        super().check(overrides)
        check_int("hydra.sweeper.n_trials", self.n_trials)
        check_int("hydra.sweeper.n_jobs", self.n_jobs)
        for direction in self.directions:
            check_choice("hydra.sweeper.directions", direction, DIRECTIONS)
        if not self.metrics or len(self.metrics) != len(self.directions):
            raise UserError(f"hydra.sweeper.directions={self.directions}: one is needed for each of metrics={self.metrics}.")
        if self.prunes and len(self.metrics) > 1:
            raise UserError("hydra/sweeper/pruner: pruning needs a single metric; search one metric, or leave the pruner out.")
        if OmegaConf.select(self.composed, "trainer.fast_dev_run"):
            raise UserError("trainer.fast_dev_run=true produces no results to optimise; set trainer.max_epochs=1 instead.")
        check_swept(overrides, lambda _: True, "")
        if not any(override.is_sweep_override() for override in overrides.values()):
            raise UserError(
                "Nothing to search: give a key a list or an interval, such as 'optimizer.lr=tag(log,interval(1e-4,1e-2))'."
            )

    def total(self, overrides: dict[str, Override]) -> int:
        """Return the number of trials."""
        return max(self.n_trials, len(self.record.jobs))

    def run(self, overrides: dict[str, Override]) -> None:
        """Ask for trials and launch them until there are `n_trials`."""
        self.spaces = {key: distribution(o) for key, o in overrides.items() if o.is_sweep_override()}
        if self.record.search is None:
            self.record.search = {
                "study_name": self.study_name or self.record.folder.name,
                "storage": self.storage,
                "metrics": self.metrics,
                "directions": self.directions,
                "pruned_by": self.metrics[0] if self.prunes else None,
            }
        self.open_study()
        self.finish_interrupted()
        while len(self.record.jobs) < self.n_trials:
            jobs = self.ask(overrides, min(self.n_jobs, self.n_trials - len(self.record.jobs)))
            self.launch(jobs)
            self.tell(jobs)

    def open_study(self) -> None:
        """Create or load the study before any job opens it.

        Raises:
            RunError: the study exists but cannot be read, or jobs in the record have no trial in it.
        """
        assert self.record.search is not None
        if any(job.trial is None for job in self.record.jobs):
            raise RunError(f"{self.record.folder / FILE} is damaged: it has jobs without a trial, and this is a search.")
        try:
            self.study()
        except UserError:
            raise
        except Exception as error:  # Optuna and its databases raise errors of their own
            address = study_address(self.record.folder, self.record.search)
            raise RunError(f"The study {printable(address)} cannot be opened: {printable(one_line(error))[:300]}") from error

    def study(self) -> optuna.Study:
        """Return the study, with a sampler seeded for the next trials."""
        assert self.record.search is not None
        config = self.composed.copy()
        study = optuna.create_study(
            study_name=self.record.search["study_name"],
            storage=open_storage(study_address(self.record.folder, self.record.search)),
            directions=[optuna.study.StudyDirection[direction.upper()] for direction in self.directions],
            load_if_exists=True,
        )
        if self.seed is not None:
            trials = len(study.get_trials(deepcopy=False))
            with open_dict(config):
                config.hydra.sweeper.sampler.seed = derive_seed(self.seed, "sampler", trials) % 2**31
        study.sampler = instantiate_node(config, "hydra.sweeper.sampler")
        return study

    def ask(self, overrides: dict[str, Override], count: int) -> list[Job]:
        """Add jobs with values from the sampler."""
        study = self.study()
        return [self._job(study.ask(self.spaces), overrides) for _ in range(count)]

    def _job(self, trial: optuna.Trial, overrides: dict[str, Override]) -> Job:
        texts = [
            as_override(override, trial.params[key]) if key in self.spaces else override.input_line or ""
            for key, override in overrides.items()
        ]
        return self.record.add(texts, label_of(texts, list(self.spaces)), self._trial_entry(trial))

    def _trial_entry(self, trial: optuna.Trial) -> TrialRecord:
        """Return what the job's process needs to open the trial: Optuna opens a trial by its id in the storage."""
        assert self.record.search is not None
        storage = open_storage(study_address(self.record.folder, self.record.search))
        study_id = storage.get_study_id_from_name(self.record.search["study_name"])
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        return {"number": trial.number, "id": trial_id, "params": trial.params}

    def tell(self, jobs: Sequence[Job]) -> None:
        """Report the results of ended jobs to the study."""
        study = self.study()
        for job in jobs:
            assert job.trial is not None
            state, values = self.record.state(job)["state"], None
            if state == "done":
                try:
                    values = self.values(job)
                except (DamagedFile, FileNotFoundError):  # the report names the file
                    values = None
            if values is not None and all(math.isfinite(value) for value in values):
                study.tell(job.trial["number"], values, skip_if_finished=True)
            else:
                ended = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
                study.tell(job.trial["number"], state=ended, skip_if_finished=True)

    def values(self, job: Job) -> list[float]:
        """Return the searched metrics of a job.

        Raises:
            RunError: its results lack them.
            DamagedFile: its results cannot be read.
        """
        try:
            results = read_results(self.record.folder / job.folder)
        except RunError as error:
            raise DamagedFile(str(error)) from error
        numbers = {split: results.numbers(split) for split in ("val", "test")}
        found = []
        for metric in self.metrics:
            split, _, name = metric.partition("/")
            value = numbers.get(split, {}).get(name)
            if value is None:
                known = [f"{s}/{n}" for s in ("val", "test") for n in numbers[s]]
                raise RunError(f"hydra.sweeper.metrics: results.json of {job.folder} has no {metric}; it has {', '.join(known)}.")
            found.append(value)
        return found

    def finish_interrupted(self) -> None:
        """After an interruption, run the jobs that were proposed but not finished, and the failed ones as new trials."""
        finished = [job for job in self.record.jobs if self.record.state(job)["state"] in FINISHED]
        self.tell(finished)
        study = self.study()
        open_trials = {t.number for t in study.get_trials(deepcopy=False) if not t.state.is_finished()}
        unfinished = [job for job in self.record.jobs if job not in finished]
        for job in unfinished:
            assert job.trial is not None
            if job.trial["number"] not in open_trials:
                study.enqueue_trial(job.trial["params"])
                job.trial = self._trial_entry(study.ask(self.spaces))
        if unfinished:
            self.launch(unfinished)
            self.tell(unfinished)
