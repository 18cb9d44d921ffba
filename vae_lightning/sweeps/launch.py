"""Launching the jobs of a sweep so that all of them are tried, whatever happens to some."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from hydra.plugins.launcher import Launcher

from vae_lightning.errors import RunError
from vae_lightning.runs.sweep_record import Job, Sweep, is_locked, lock_path

LOST = "Its process ended without a word (killed, or out of memory?)."


def launch(launcher: Launcher, sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Runs `jobs` by the launcher. A launcher that gives up is started again for those that it had not come to."""
    waiting = list(jobs)
    together = True
    while waiting:
        batch = waiting if together else waiting[:1]
        error = _launch(launcher, batch)
        _wait_for_running(sweep, batch)
        for job in batch:
            _settle(sweep, job, error, alone=len(batch) == 1)
        left = [job for job in waiting if sweep.state(job)["state"] == "waiting"]
        # where a whole batch came to nothing, one job alone may be the reason
        together = together and len(left) < len(waiting)
        waiting = left


def _launch(launcher: Launcher, jobs: Sequence[Job]) -> Exception | None:
    # quoted, since Hydra reads 111_7493 as the number 1117493
    overrides = [[*job.overrides, f"hydra.sweep.subdir='{job.folder}'"] for job in jobs]
    try:
        launcher.launch(overrides, initial_job_idx=jobs[0].number)
    except Exception as error:
        return error
    return None


def _wait_for_running(sweep: Sweep, jobs: Sequence[Job], interval: float = 0.2) -> None:
    """A launcher that gives up for one job may leave others running in their processes."""
    while any(sweep.true_state(job)["state"] == "running" for job in jobs):
        time.sleep(interval)


def _settle(sweep: Sweep, job: Job, error: Exception | None, alone: bool) -> None:
    """What a launched job came to, where it could not say so itself; one that was launched `alone` is not tried again."""
    state = sweep.true_state(job)["state"]
    if state == "interrupted":
        sweep.set_state(job, "failed", error=LOST)
    elif state == "waiting" and alone:
        why = "its launcher ended without running it" if error is None else " ".join(str(error).split())
        sweep.set_state(job, "failed", error=f"It could not be launched: {why}"[:500])
    elif state == "done" and sweep.state(job)["state"] != "done":
        sweep.set_state(job, "done")  # killed after its results were written


def refuse_if_running(sweep: Sweep) -> None:
    """RunError where jobs of this sweep are running in other processes."""
    running = [job for job in sweep.jobs if is_locked(lock_path(sweep.folder, job.number))]
    if running:
        job = running[0]
        state = sweep.state(job)
        where = f"process {state.get('pid')} on {state.get('host')}"
        raise RunError(f"Jobs of {sweep.folder} are running still ({job.folder} in {where}): wait for them or stop them first.")


def failures(sweep: Sweep) -> list[tuple[Job, dict[str, Any]]]:
    """The jobs that failed, with their states."""
    return [(job, state) for job in sweep.jobs if (state := sweep.state(job))["state"] == "failed"]
