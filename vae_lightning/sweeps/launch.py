"""Launches the jobs of a sweep so that every job is tried, whatever happens to the others."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hydra.plugins.launcher import Launcher

from vae_lightning.errors import RunError
from vae_lightning.runs.sweep_record import Job, JobState, Sweep

LOST = "Its process ended without an error message (killed, or out of memory?)."


def launch(launcher: Launcher, sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Run `jobs` with the launcher. If the launcher fails, it is started again for the jobs that it did not reach."""
    waiting = list(jobs)
    together = True
    while waiting:
        batch = waiting if together else waiting[:1]
        error = _launch(launcher, batch)
        _wait_for_running(sweep, batch)
        for job in batch:
            _settle(sweep, job, error, alone=len(batch) == 1)
        left = [job for job in waiting if sweep.state(job)["state"] == "waiting"]
        # if no job of a batch was run, a single one may be the reason: from then on, launch one at a time
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
    """Wait for jobs that are still running: a launcher that fails for one job may leave others in their processes."""
    while any(sweep.true_state(job)["state"] == "running" for job in jobs):
        time.sleep(interval)


def _settle(sweep: Sweep, job: Job, error: Exception | None, alone: bool) -> None:
    """Record the outcome of a job that could not record it itself. A job that was launched alone is not tried again."""
    state = sweep.true_state(job)["state"]
    if state == "interrupted":
        sweep.set_state(job, "failed", error=LOST)
    elif state == "waiting" and alone:
        why = "its launcher ended without running it" if error is None else " ".join(str(error).split())
        sweep.set_state(job, "failed", error=f"It could not be launched: {why}"[:500])
    elif state == "done" and sweep.state(job)["state"] != "done":
        sweep.set_state(job, "done")  # killed after its results were written


def refuse_if_running(sweep: Sweep) -> None:
    """Raise RunError if jobs of this sweep are running in other processes."""
    running = [job for job in sweep.jobs if sweep.runs(job)]
    if running:
        job = running[0]
        state = sweep.state(job)
        where = f"process {state.get('pid')} on {state.get('host')}"
        raise RunError(f"Jobs of {sweep.folder} are still running ({job.folder} in {where}): wait for them or stop them first.")


def failures(sweep: Sweep) -> list[tuple[Job, JobState]]:
    """Return the failed jobs with their states."""
    return [(job, state) for job in sweep.jobs if (state := sweep.state(job))["state"] == "failed"]
