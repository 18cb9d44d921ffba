"""A sweep's record on disk: `sweep.json`, written by the sweep, and `jobs/<NNN>.json`, each written by its own job.

A job holds a lock on `jobs/<NNN>.lock` while it runs. The operating system releases it when the process ends, however it ends,
so a job with the state "running" and a free lock was interrupted.

The folder may come from someone else or be damaged: `schemas.py` defines what the files may hold, and a damaged file of a job
makes only that job "damaged". `sweep.json` is signed, like `config.yaml` of a run (see `signature.py`).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

import msgspec

from vae_lightning.errors import RunError, UserError
from vae_lightning.files import find_below, is_locked, user_path, write_json
from vae_lightning.readers import read_json_as
from vae_lightning.runs.schemas import SweepFile, SweepVersion, check_search, read_job_state, read_results
from vae_lightning.runs.signature import is_own_json, sign_json

SCHEMA_VERSION = 1
FILE = "sweep.json"
FINISHED = ("done", "pruned")  # these jobs are not run again
ENDED = (*FINISHED, "failed")
DAMAGED = "damaged"  # the state of a job whose own file cannot be read
TRUSTED = "VAE_LIGHTNING_TRUSTED_SWEEP"  # environment variable: the sweep that this process and its children trust


class SearchRecord(TypedDict, total=False):
    """A sweep's search: the study, its metrics and directions, and the metric that the pruner uses (None without a pruner)."""

    study_name: str
    storage: str | None
    metrics: list[str]
    directions: list[str]
    pruned_by: str | None


class TrialRecord(TypedDict, total=False):
    """A job's trial: its number in the study, its id in the storage, and its values."""

    number: int
    id: int
    params: dict[str, Any]


class JobState(TypedDict, total=False):
    """What a job has recorded about itself. `metrics` are by split and name."""

    state: str
    error: str | None
    traceback: str | None
    pruned: bool | None
    misconfigured: bool | None
    host: str
    pid: int
    threads: int | None
    epoch: int
    epochs: int | None
    trained_seconds: float
    seconds: float
    metrics: dict[str, dict[str, float]]


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        label: the overrides in which it differs from other jobs.
        trial: its trial in the study of a search.
    """

    number: int
    overrides: list[str]
    folder: str
    label: str
    trial: TrialRecord | None = None


@dataclass
class Sweep:
    """A sweep's folder, the command line that started it, the working directory of that command, and its jobs.

    Attributes:
        own: whether `sweep.json` is signed as this user's.
    """

    folder: Path
    arguments: list[str] = field(default_factory=list)
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    directory: str = field(default_factory=os.getcwd)
    search: SearchRecord | None = None
    jobs: list[Job] = field(default_factory=list)
    own: bool = True

    @property
    def trusted(self) -> bool:
        """Whether the sweep is trusted: it is the user's own, or `trust_run_code=true` was given."""
        return self.own or os.environ.get(TRUSTED) == str(self.folder)

    def trust(self) -> None:
        """Trust the sweep, in this process and those that it starts."""
        os.environ[TRUSTED] = str(self.folder)

    def add(self, overrides: Sequence[str], label: str, trial: TrialRecord | None = None) -> Job:
        """Add a job with the next number and a new folder name.

        Args:
            overrides: the overrides of the job.
            label: those in which it differs from other jobs.
            trial: its trial in the study of a search.
        """
        number = len(self.jobs)
        job = Job(number, list(overrides), f"{number:03d}_{secrets.token_hex(2)}", label, trial)
        self.jobs.append(job)
        return job

    def save(self) -> None:
        """Write `sweep.json`: the command line and every job with its current state."""
        jobs = []
        for job in self.jobs:
            state = self.state(job)
            jobs.append({**asdict(job), "state": state["state"], "error": state.get("error")})
        content = {"schema_version": SCHEMA_VERSION, "started": self.started, "directory": self.directory}
        content |= {"arguments": self.arguments, "search": self.search, "jobs": jobs}
        (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        write_json(self.folder / FILE, sign_json(content) if self.own else content)

    def state(self, job: Job) -> JobState:
        """Return what the job last recorded: `state`, `error`, `epoch`, `metrics` and so on."""
        try:
            return cast(JobState, {"state": "waiting", **read_job_state(self.inside(state_path(self.folder, job.number)))})
        except RunError as error:
            return {"state": DAMAGED, "error": str(error)}

    def true_state(self, job: Job) -> JobState:
        """Like `state`, but a job whose process is gone counts as interrupted, or as done if it had written its results."""
        state = self.state(job)
        if state["state"] == "running" and not self.runs(job):
            state = self.state(job)  # it may have ended between the two checks
        if state["state"] != "running" or self.runs(job):
            return state
        return {**state, "state": self.ended_as(job)}

    def ended_as(self, job: Job) -> str:
        """Return the state of a job that no process runs, according to its folder."""
        return "done" if is_finished(self.folder / job.folder) else "interrupted"

    def runs(self, job: Job) -> bool:
        """Whether a process holds the job's lock."""
        path = lock_path(self.folder, job.number)
        try:
            status = self.inside(path).lstat()
        except (OSError, RunError):
            return False
        # taking a lock truncates its file: it must be one of ours, which are empty
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size == 0 and is_locked(path)

    def inside(self, path: Path) -> Path:
        """Return `path` if it is in the sweep's folder, with links followed.

        Raises:
            RunError: it leads elsewhere.
        """
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
            raise RunError(f"{path} is a link to outside the sweep's folder: remove the link.")
        return path

    def set_state(self, job: Job, state: str, **more: object) -> None:
        """Record a state for a job that is not running."""
        update_state(self.folder, job.number, state=state, **more)

    def reset(self, job: Job) -> None:
        """Delete everything of the job's last attempt, so that it starts afresh."""
        folder = self.folder / job.folder
        if folder.is_symlink():
            raise RunError(f"{folder} is a link, so it is not deleted: remove the link.")
        shutil.rmtree(self.inside(folder), ignore_errors=True)
        self.inside(state_path(self.folder, job.number)).unlink(missing_ok=True)

    def set_damaged_aside(self, job: Job) -> str:
        """Rename a damaged `jobs/<NNN>.json`, and give the job the state that its folder shows.

        Returns:
            A sentence for the user.
        """
        error = self.state(job).get("error")
        path = self.inside(state_path(self.folder, job.number).parent) / f"{job.number:03d}.json"
        path.rename(path.with_name(f"{path.name}.damaged-{secrets.token_hex(2)}"))
        state = self.ended_as(job)
        self.set_state(job, "waiting" if state == "interrupted" else state)
        return f"{error} It was set aside, and job {job.number:03d} is {'resumed' if state == 'interrupted' else state}."


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds the record of a sweep."""
    return (folder / FILE).is_file()


def load(path: str | Path, key: str = "sweep") -> Sweep:
    """Load the sweep of a folder.

    Args:
        path: the folder.
        key: the command line's name for it, for error messages.

    Raises:
        UserError: the folder is not a sweep.
        RunError: its record is damaged.
    """
    folder = user_path(key, path)
    if not folder.is_dir():
        raise UserError(f"{key}={path}: no such folder.")
    if not is_sweep(folder):
        below = sorted(p.parent for p in folder.glob(f"*/{FILE}")) or [p.parent for p in find_below(folder, FILE)]
        hint = f" The latest sweep below it is {below[-1]}." if below else ""
        raise UserError(f"{key}={path} is not a sweep: it has no {FILE}.{hint}")
    file = folder / FILE
    if read_json_as(file, SweepVersion)[0].schema_version != SCHEMA_VERSION:
        version = read_json_as(file, SweepVersion)[0].schema_version
        raise UserError(f"{file} has schema_version={version}, but this version of vae-lightning reads {SCHEMA_VERSION}.")
    record, content = read_json_as(file, SweepFile)
    check_search(record, file)
    jobs = [Job(j.number, j.overrides, j.folder, j.label, cast(TrialRecord | None, _plain(j.trial))) for j in record.jobs]
    search = cast(SearchRecord | None, _plain(record.search))
    return Sweep(folder, record.arguments, record.started, record.directory, search, jobs, is_own_json(content))


def _plain(value: msgspec.Struct | None) -> Any:
    return None if value is None else msgspec.to_builtins(value)


def is_finished(folder: Path) -> bool:
    """Whether training finished in this run folder; evaluate.py writes a `results.json` too, but without `steps`."""
    try:
        return read_results(folder).steps is not None
    except (FileNotFoundError, RunError):  # damaged results are written again when the run is resumed
        return False


def state_path(sweep: Path, number: int) -> Path:
    """Return the file that a job records its state in."""
    return sweep / "jobs" / f"{number:03d}.json"


def lock_path(sweep: Path, number: int) -> Path:
    """Return the file that a job locks while it runs."""
    return sweep / "jobs" / f"{number:03d}.lock"


def update_state(sweep: Path, number: int, **values: object) -> None:
    """Merge values into a job's state. While the job runs, only its own process may do this."""
    path = state_path(sweep, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = read_job_state(path)
    except RunError:  # damaged: only what the job records now counts
        before = {}
    write_json(path, {**before, **values})


def job_of_folder(folder: Path) -> tuple[Path, int] | None:
    """Return the sweep's folder and the job's number of a run folder in a sweep; None for any other folder."""
    number = folder.name.partition("_")[0]
    return (folder.parent, int(number)) if re.fullmatch("[0-9]+", number) and is_sweep(folder.parent) else None


def this_process() -> dict[str, str | int]:
    """Return the host and process id, recorded by a job that starts."""
    return {"host": socket.gethostname(), "pid": os.getpid()}
