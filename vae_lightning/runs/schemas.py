"""What the JSON files of runs and sweeps hold: a file that does not match its schema is damaged. Imports no torch.

Further keys are allowed everywhere, so that files of later versions can be read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from vae_lightning.errors import RunError
from vae_lightning.evaluation.measures.base import ERROR_SUFFIX
from vae_lightning.evaluation.metrics import better_direction
from vae_lightning.readers import TEXT_LIMIT, one_reason, read_json_as, read_json_with_nan

STATES = ("waiting", "running", "done", "failed", "pruned", "interrupted")
LARGEST = 1e100  # no real metric is larger
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


Texts = Annotated[list[str], msgspec.Meta(max_length=1000)]  # of a command line


class SearchFile(msgspec.Struct):
    """`search` of sweep.json: the study of a search."""

    study_name: str
    storage: str | None
    metrics: Annotated[list[str], msgspec.Meta(min_length=1)]
    directions: list[Literal["minimize", "maximize"]]
    pruned_by: str | None = None


class TrialFile(msgspec.Struct):
    """`trial` of a job in sweep.json: its trial in the study of a search."""

    number: Count
    id: Count
    params: dict[str, bool | int | float | str | None]


class JobFile(msgspec.Struct):
    """An entry of `jobs` in sweep.json. The folder is a plain name, never a path."""

    number: Count
    overrides: Texts
    folder: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{3,}_[0-9A-Za-z_-]{1,64}\Z")]
    label: str
    trial: TrialFile | None = None


class SweepFile(msgspec.Struct):
    """sweep.json."""

    schema_version: int
    started: str
    directory: str
    arguments: Texts
    search: SearchFile | None
    jobs: list[JobFile]


class SweepVersion(msgspec.Struct):
    """The key of sweep.json that tells whether the others can be read."""

    schema_version: int


class JobStateFile(msgspec.Struct):
    """jobs/NNN.json, written by the job itself."""

    state: Literal["waiting", "running", "done", "failed", "pruned", "interrupted"] = "waiting"
    error: str | None = None
    traceback: str | None = None
    pruned: bool | None = None
    misconfigured: bool | None = None
    host: str = ""
    pid: Count = 0
    threads: Count | None = None
    epoch: Count = 0
    epochs: Count | None = None
    trained_seconds: Seconds = 0.0
    seconds: Seconds = 0.0
    metrics: dict[str, dict[str, Number]] = {}


class ResultsFile(msgspec.Struct):
    """results.json of a run. `val` and `test` map metrics to numbers, and to lists and tables of numbers."""

    val: dict[str, Any] = {}
    test: dict[str, Any] = {}
    train: dict[str, Any] = {}
    steps: Count | None = None
    epochs: Count | None = None

    def numbers(self, split: str) -> dict[str, float]:
        """Return the metrics of `val` or `test` that are single numbers."""
        values = self.val if split == "val" else self.test
        return {name: float(value) for name, value in values.items() if is_number(value)}


def is_number(value: object) -> bool:
    """Whether a value is a number that a metric can have, including the infinity or NaN of a diverged run."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST or (isinstance(value, float) and not math.isfinite(value))


def read_results(folder: Path) -> ResultsFile:
    """Read the `results.json` of a run folder.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is damaged.
    """
    path = folder / "results.json"
    return check_results(path, read_json_with_nan(path))


def check_results(path: Path, content: dict[str, Any]) -> ResultsFile:
    """Convert the content of a `results.json` to its schema.

    Raises:
        RunError: it does not match the schema.
    """
    try:
        results = msgspec.convert(content, ResultsFile)
    except ValueError as error:
        raise RunError(f"{path} is damaged and cannot be read: {one_reason(error)}.") from error
    for split, values in (("val", results.val), ("test", results.test)):
        for name, value in values.items():
            if not _is_metric(name, value):
                raise RunError(f"{path} is damaged and cannot be read: {split}.{name} is not a number, but this metric is one.")
    return results


def _is_metric(name: str, value: object) -> bool:
    if name.removesuffix(ERROR_SUFFIX) == "kl_per_dimension":
        return value is None or (isinstance(value, list) and all(is_number(part) and math.isfinite(part) for part in value))
    known = better_direction(name) is not None
    if value is None or is_number(value):
        return True
    return not known and (isinstance(value, bool) or not isinstance(value, int | float))


def read_job_state(path: Path) -> dict[str, Any]:
    """Read jobs/NNN.json as plain data; empty if there is none. Raise RunError if it is damaged."""
    try:
        return read_json_as(path, JobStateFile, TEXT_LIMIT)[1]
    except FileNotFoundError:
        return {}


def check_search(sweep: SweepFile, path: Path) -> None:
    """Raise RunError if sweep.json contradicts itself about a search or about its jobs."""
    if any(job.number != place or int(job.folder.partition("_")[0]) != place for place, job in enumerate(sweep.jobs)):
        raise RunError(f"{path} is damaged and cannot be read: the numbers of its jobs do not match their folders.")
    if sweep.search is not None and len(sweep.search.metrics) != len(sweep.search.directions):
        raise RunError(f"{path} is damaged and cannot be read: its search does not have one direction for each metric.")
