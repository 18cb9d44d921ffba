"""Small sweeps, run in this process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running import Outcome, Runner
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.sweep_record import Sweep
from vae_lightning.training import fit as run

# such a job takes a third of a second
TINY: tuple[str, ...] = (
    "model.hidden=[16]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=3",
    "callbacks=minimal",
    "logger=none",
    "latent_dim=2",
)
QUIET = "hydra.sweeper.report=false"


class Sweeps:
    """Runs commands like `Runner`, but draws no pictures, and finds what they wrote."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.monkeypatch.setattr("vae_lightning.training.finish.draw_pictures", lambda *_: {})

    def __call__(self, *arguments: str, command: str = "train") -> Outcome:
        return self.runner(command, *arguments)

    @property
    def folder(self) -> Path:
        """The latest sweep."""
        return max((p.parent for p in self.runner.cwd.glob("outputs/sweeps/*/*/sweep.json")), key=lambda p: p.stat().st_mtime_ns)

    def states(self) -> list[str]:
        """The states of the jobs as recorded in `sweep.json`."""
        return [job["state"] for job in json.loads((self.folder / "sweep.json").read_text())["jobs"]]

    def results(self) -> list[dict[str, Any]]:
        sweep = record.load(self.folder)
        return [json.loads((self.folder / job.folder / "results.json").read_text()) for job in sweep.jobs]


@contextmanager
def interrupted_after_training(number: int, signum: int = signal.SIGINT) -> Iterator[None]:
    """Send Ctrl-C (or another signal) in the `number`th job that is trained, before its metrics are written."""
    finish, calls = run.finish, []

    def interrupted(given: run.TrainingContext) -> float:
        calls.append(given)
        if len(calls) == number:
            os.kill(os.getpid(), signum)
        return finish(given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "finish", interrupted)
        yield


@pytest.fixture
def sweeps(runner: Runner) -> Sweeps:
    return Sweeps(runner)


def waiting_sweep(folder: Path) -> Sweep:
    """A sweep of four jobs, none of which has started."""
    made = Sweep(folder)
    for beta in range(4):
        made.add([f"beta={beta}"], f"beta={beta}")
    made.save()
    return made
