"""A sweep's record on disk: `sweep.json`, written by the sweep, and `jobs/<NNN>.json`, each written by its own job.

A job holds a lock on `jobs/<NNN>.lock` while it runs. The operating system releases it when the process ends, however it ends,
so a job with the state "running" and a free lock was interrupted.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

from vae_lightning.errors import RunError, UserError
from vae_lightning.files import is_locked, read_json, training_finished, write_json

SCHEMA_VERSION = 1
FILE = "sweep.json"
FINISHED = ("done", "pruned")  # these jobs are not run again
ENDED = (*FINISHED, "failed")


class SearchRecord(TypedDict, total=False):
    """A sweep's search: the study, its metrics and directions, and the metric that a pruner looks at (None without one)."""

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
    """What a job has recorded about itself. `metrics` is by split and name."""

    state: str
    error: str | None
    traceback: str | None
    pruned: bool | None
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
    """A sweep's folder, the command line that started it, the working directory of that command, and its jobs."""

    folder: Path
    arguments: list[str] = field(default_factory=list)
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    directory: str = field(default_factory=os.getcwd)
    search: SearchRecord | None = None
    jobs: list[Job] = field(default_factory=list)

    def add(self, overrides: Sequence[str], label: str, trial: TrialRecord | None = None) -> Job:
        """Adds a job with the next number and a new folder name."""
        number = len(self.jobs)
        job = Job(number, list(overrides), f"{number:03d}_{secrets.token_hex(2)}", label, trial)
        self.jobs.append(job)
        return job

    def save(self) -> None:
        """Writes `sweep.json`: the command line and every job with its current state."""
        jobs = []
        for job in self.jobs:
            state = self.state(job)
            jobs.append({**asdict(job), "state": state["state"], "error": state.get("error")})
        content = {"schema_version": SCHEMA_VERSION, "started": self.started, "directory": self.directory}
        content |= {"arguments": self.arguments, "search": self.search, "jobs": jobs}
        (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        write_json(self.folder / FILE, content)

    def state(self, job: Job) -> JobState:
        """What the job last recorded: `state`, `error`, `epoch`, `metrics` and so on."""
        return cast(JobState, {"state": "waiting", **read_json(state_path(self.folder, job.number))})

    def true_state(self, job: Job) -> JobState:
        """Like `state`, but a job whose process is gone counts as interrupted, or as done if it had written its results."""
        state = self.state(job)
        if state["state"] == "running" and not is_locked(lock_path(self.folder, job.number)):
            state = self.state(job)  # it may have ended between the two checks
        if state["state"] != "running" or is_locked(lock_path(self.folder, job.number)):
            return state
        return {**state, "state": "done" if training_finished(self.folder / job.folder) else "interrupted"}

    def set_state(self, job: Job, state: str, **more: Any) -> None:
        """Records a state for a job that is not running."""
        update_state(self.folder, job.number, state=state, **more)

    def reset(self, job: Job) -> None:
        """Deletes everything of the job's last attempt, so that it starts afresh."""
        shutil.rmtree(self.folder / job.folder, ignore_errors=True)
        state_path(self.folder, job.number).unlink(missing_ok=True)


def is_sweep(folder: Path) -> bool:
    """Whether a folder has the record of a sweep."""
    return (folder / FILE).is_file()


def load(path: str | Path, key: str = "sweep") -> Sweep:
    """Loads the sweep of a folder.

    Args:
        path: the folder.
        key: the command line's name for it, for error messages.

    Raises:
        UserError: when the folder is not a sweep.
        RunError: when its record is damaged.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{key}={path}: no such folder.")
    if not is_sweep(folder):
        below = sorted(p.parent for p in folder.glob(f"*/{FILE}")) or sorted(p.parent for p in folder.glob(f"**/{FILE}"))
        hint = f" The latest sweep below it is {below[-1]}." if below else ""
        raise UserError(f"{key}={path} is not a sweep: it has no {FILE}.{hint}")
    try:
        content = read_json(folder / FILE)
    except ValueError as error:
        raise RunError(f"{folder / FILE} is damaged and cannot be read.") from error
    if content.get("schema_version") != SCHEMA_VERSION:
        version = content.get("schema_version")
        raise UserError(
            f"{folder / FILE} has schema_version={version}, and this version of vae-lightning reads {SCHEMA_VERSION}."
        )
    known = ("number", "overrides", "folder", "label", "trial")
    jobs = [Job(**{name: job[name] for name in known}) for job in content["jobs"]]
    return Sweep(folder, content["arguments"], content["started"], content["directory"], content["search"], jobs)


def state_path(sweep: Path, number: int) -> Path:
    """The file that a job records its state in."""
    return sweep / "jobs" / f"{number:03d}.json"


def lock_path(sweep: Path, number: int) -> Path:
    """The file that a job locks while it runs."""
    return sweep / "jobs" / f"{number:03d}.lock"


def update_state(sweep: Path, number: int, **values: Any) -> None:
    """Merges values into a job's state. While the job runs, only its own process may do this."""
    path = state_path(sweep, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**read_json(path), **values})


def job_of_folder(folder: Path) -> tuple[Path, int] | None:
    """The sweep's folder and the job's number of a run folder in a sweep; None for any other folder."""
    number = folder.name.partition("_")[0]
    return (folder.parent, int(number)) if number.isdigit() and is_sweep(folder.parent) else None


def this_process() -> dict[str, str | int]:
    """The host and process id, recorded by a job that starts."""
    return {"host": socket.gethostname(), "pid": os.getpid()}
