"""One job of a sweep, in whatever process its launcher runs it: its outcome is recorded, and the sweep continues."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from vae_lightning.errors import RunError, UserError
from vae_lightning.files import try_lock
from vae_lightning.runs.schemas import read_job_state, read_results
from vae_lightning.runs.sweep_record import FINISHED, load, lock_path, state_path, this_process, update_state


class Pruned(Exception):
    """A search stopped this run early."""


def run(task: Callable[[DictConfig], object], config: DictConfig) -> None:
    """Run `task` as Hydra's current job. Errors are recorded and not raised; an interruption is recorded and raised."""
    hydra = HydraConfig.get()
    sweep, folder = Path(hydra.sweep.dir).absolute(), job_folder()
    number = int(folder.name.partition("_")[0])
    with try_lock(lock_path(sweep, number)) as free:
        if not free or read_job_state(state_path(sweep, number)).get("state") in FINISHED:
            return  # another process is running or has run this job: a launcher that failed may still have it in its queue
        started = time.perf_counter()
        cleared = {"error": None, "traceback": None, "pruned": None, "misconfigured": None}
        update_state(sweep, number, state="running", **cleared, **this_process(), threads=share_threads())

        def end(state: str, **more: object) -> None:
            update_state(sweep, number, state=state, seconds=round(time.perf_counter() - started, 2), **more)

        try:
            task(config)
        except (KeyboardInterrupt, SystemExit) as error:
            end("interrupted")
            # Lightning turns Ctrl-C into SystemExit, which would make a launcher end the whole sweep
            raise KeyboardInterrupt from error
        except BaseException as error:
            if read_job_state(state_path(sweep, number)).get("pruned"):
                end("pruned")
            else:
                misconfigured = isinstance(error, UserError) and not isinstance(error, RunError)
                end("failed", error=error_sentence(error), traceback=_traceback(error), misconfigured=misconfigured)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()  # Hydra created it, and the run never started
        else:
            end("done", metrics=metrics_in(folder))


def job_folder() -> Path:
    """Return the run folder of Hydra's current job."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).absolute() / hydra.sweep.subdir


def restrict_foreign(config: DictConfig, folder: Path) -> bool:
    """Turn downloads off if the job of this folder belongs to a sweep from someone else, and return whether it does."""
    foreign = not load(folder.parent).trusted
    if foreign and OmegaConf.select(config, "data.download"):
        config.data.download = False
    return foreign


def label_of(folder: Path) -> str:
    """Return the label of the job of this run folder, from the sweep's record."""
    sweep, number = folder.parent, int(folder.name.partition("_")[0])
    return load(sweep).jobs[number].label


def error_sentence(error: BaseException) -> str:
    """Return the error in one line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set."
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def metrics_in(folder: Path) -> dict[str, dict[str, float]]:
    """Return the numbers in a run's results.json, by split."""
    try:
        results = read_results(folder)
    except (FileNotFoundError, RunError):  # a dry run has none, and the report names damaged ones
        return {}
    found = {split: results.numbers(split) for split in ("val", "test")}
    return {
        s: {name: value for name, value in numbers.items() if math.isfinite(value)} for s, numbers in found.items() if numbers
    }


def share_threads() -> int | None:
    """Limit this job to its share of the machine's cores if jobs run in parallel; return the number of threads."""
    if parallel_jobs() == 1:
        return None
    import torch

    threads = min(torch.get_num_threads(), max(1, cores() // parallel_jobs()))
    torch.set_num_threads(threads)
    return threads


def parallel_jobs() -> int:
    """Return how many jobs the launcher runs at once on a machine: its `n_jobs` (if negative, counted from all cores)."""
    count = HydraConfig.get().launcher.get("n_jobs", 1)
    return int(count) if count > 0 else max(1, cores() + 1 + int(count))


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _traceback(error: BaseException) -> str | None:
    """Return the traceback; None if the deepest cause is a user's mistake, for which the sentence is enough."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    return None if isinstance(deepest, UserError) else "".join(traceback.format_exception(error))
