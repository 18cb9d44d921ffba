"""One job of a sweep, in whatever process its launcher runs it: what becomes of it is written down, and the sweep goes on."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from vae_lightning.errors import UserError
from vae_lightning.files import read_json, try_lock
from vae_lightning.runs.sweep_record import FINISHED, load, lock_path, state_path, this_process, update_state


class Pruned(Exception):
    """A search stopped this run early."""


def run(task: Callable[[DictConfig], Any], config: DictConfig) -> None:
    """Runs `task` as the job that Hydra is at. Its errors are recorded, never raised; an interruption is both."""
    hydra = HydraConfig.get()
    sweep, folder = Path(hydra.sweep.dir).absolute(), job_folder()
    number = int(folder.name.partition("_")[0])
    with try_lock(lock_path(sweep, number)) as free:
        if not free or read_json(state_path(sweep, number)).get("state") in FINISHED:
            return  # another process is at it, or was: a launcher that gave up may still have had it in its queue
        started = time.perf_counter()
        again = {"error": None, "traceback": None, "pruned": None}
        update_state(sweep, number, state="running", **again, **this_process(), threads=share_threads())

        def end(state: str, **more: Any) -> None:
            update_state(sweep, number, state=state, seconds=round(time.perf_counter() - started, 2), **more)

        try:
            task(config)
        except (KeyboardInterrupt, SystemExit) as error:
            end("interrupted")
            raise KeyboardInterrupt from error  # Lightning makes an exit of it, which a launcher would take for the end of all
        except BaseException as error:
            if read_json(state_path(sweep, number)).get("pruned"):
                end("pruned")
            else:
                end("failed", error=sentence(error), traceback=_traceback(error))
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()  # Hydra made it; the run never began
        else:
            end("done", metrics=figures(folder))


def job_folder() -> Path:
    """The run folder of the job that Hydra is at."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).absolute() / hydra.sweep.subdir


def label_of(folder: Path) -> str:
    """What the record of the sweep calls the job of this run folder."""
    sweep, number = folder.parent, int(folder.name.partition("_")[0])
    return load(sweep).jobs[number].label


def sentence(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set."
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def figures(folder: Path) -> dict[str, dict[str, float]]:
    """The numbers of results.json, by split."""
    results = read_json(folder / "results.json")
    return {
        split: {name: value for name, value in values.items() if isinstance(value, int | float)}
        for split, values in results.items()
        if split in ("val", "test") and isinstance(values, dict)
    }


def share_threads() -> int | None:
    """The cores shared out among jobs that run side by side on one machine: at most this job's part of them, if there are any."""
    if parallel_jobs() == 1:
        return None
    import torch

    threads = min(torch.get_num_threads(), max(1, cores() // parallel_jobs()))
    torch.set_num_threads(threads)
    return threads


def parallel_jobs() -> int:
    """How many jobs the launcher runs at once on one machine, as its `n_jobs` says (negative: from the last core, as joblib)."""
    count = HydraConfig.get().launcher.get("n_jobs", 1)
    return int(count) if count > 0 else max(1, cores() + 1 + int(count))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _traceback(error: BaseException) -> str | None:
    """None where a wrong value is all there is to say; a sentence that other code is the reason of keeps the way to it."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    return None if isinstance(deepest, UserError) else "".join(traceback.format_exception(error))
