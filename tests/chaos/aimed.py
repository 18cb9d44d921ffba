"""Kills of a run while it writes a checkpoint, of evaluate, of report and of a sweep."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import compare, forks
from tests.chaos.killing import COMMON, Once, Prepare, Setup, Writing, fresh, half_written, killed
from tests.chaos.page import Tally
from vae_lightning.files import LOCK
from vae_lightning.runs import sweep_record

EVALUATION = ".evaluate-"  # in the names of event files, which also contain the time
TRAINING = (*COMMON, "callbacks=minimal", "trainer.max_epochs=2", "trainer.limit_train_batches=20")
EVALUATE = ("measures=[nll,reconstructions]", "nll.samples=20", "nll.images=40", "per_image=true")
SWEEP = (
    "-m", "model.hidden=[16]", "latent_dim=2", "trainer.max_epochs=2", "trainer.limit_train_batches=10", "callbacks=minimal",
    "callbacks.last.every_n_steps=3", "logger=none", "data.val_size=100", "data.test_size=100", "beta=1,2", "seed=0,1",
)  # fmt: skip
KILLS_OF_A_SWEEP = 4
RECORDS = ("sweep.json", *(f"00{job}.json" for job in range(4)), "results.json", "report.html", "summary.csv")
LONGEST = 0.001  # seconds that writing a small file takes at most


def prepare_evaluate(work: Path) -> Once:
    home = fresh(work / "evaluate")
    assert forks.run(home, *TRAINING)[0] == 0
    run = forks.only_run(home)
    return Rewriting(home, run, "evaluate", (f"run={run}", *EVALUATE), ("results.json", "per_image_test.npz")).once


def prepare_report(work: Path) -> Once:
    home = fresh(work / "report")
    assert forks.run(home, *SWEEP)[0] == 0
    sweep = only_sweep(home)
    arguments = (f"sweep={sweep}", "images=1", "metric=kl")  # so that the page differs from the sweep's own
    return Rewriting(home, sweep, "report", arguments, ("summary.csv", "summary.md", "report.html")).once


def start(
    home: Path, arguments: tuple[str, ...], command: str, chance: random.Random, written: tuple[str, ...], duration: float
) -> tuple[forks.Child, Callable[[], bool]]:
    """Start a command; also return the function that kills it at any moment, or as it writes or renames one of its files."""
    if chance.random() < 0.5:
        child, delay = forks.start(home, *arguments, command=command), chance.uniform(0.0, duration)
        return child, lambda: killed(child, delay)
    writing = Writing(written, chance.randint(1, len(written)), whole=chance.random() < 0.5)
    child, delay = forks.start(home, *arguments, command=command, plant=writing.plant), chance.uniform(0.0, LONGEST)
    return child, lambda: writing.kill(child, delay)


class Rewriting:
    """A command that overwrites some files of a folder.

    Args:
        home: the folder in which the command is run.
        folder: the folder of the run or of the sweep.
        command: the name of the command.
        arguments: the arguments of the command.
        written: the names of the files that it writes.
    """

    def __init__(self, home: Path, folder: Path, command: str, arguments: tuple[str, ...], written: tuple[str, ...]) -> None:
        self.home, self.folder, self.command, self.arguments, self.written = home, folder, command, arguments, written
        self.kept = shutil.copytree(folder, home / "kept")
        start = time.monotonic()
        status, out = forks.run(home, *arguments, command=command)
        assert status == 0, out
        self.duration, self.whole = time.monotonic() - start, contents(folder)
        self.entries = compare.tensorboard(folder)

    def once(self, chance: random.Random, quota: int, end: float) -> Tally:
        """Kill the command once, at any moment or while it writes; then run it to the end."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)
        before, tally = contents(self.folder), Tally(runs=1)
        _, strike = start(self.home, self.arguments, self.command, chance, self.written, self.duration)
        was_killed = strike()
        tally.kills, tally.hits = int(was_killed), int(bool(half_written(self.folder)))
        now = contents(self.folder)
        tally.differences += [
            f"after the kill: {name}"
            for name in sorted({*before, *now})
            if not name.endswith(".tmp") and now.get(name) not in (before.get(name), self.whole.get(name))
        ]
        status, out = forks.run(self.home, *self.arguments, command=self.command)
        if status:
            tally.differences.append(f"status {status}: {out[-300:]}")
        now = contents(self.folder)
        tally.differences += [
            f"in the end: {name}" for name in sorted({*self.whole, *now}) if now.get(name) != self.whole.get(name)
        ]
        if compare.tensorboard(self.folder) != self.entries:
            tally.differences.append("in the end: TensorBoard")
        return tally


def contents(folder: Path) -> dict[str, str]:
    """Return a hash of each file, by name; without evaluate's event files, whose names and entries contain the time."""
    paths = [path for path in folder.rglob("*") if path.is_file() and EVALUATION not in path.name]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# -------------------------------------------------------------------- a sweep


def only_sweep(home: Path) -> Path:
    (file,) = home.glob(f"outputs/sweeps/*/*/{sweep_record.FILE}")
    return file.parent


def prepare_sweep(work: Path) -> Once:
    return Sweeps(work).once


class Sweeps:
    """A small sweep that is killed and resumed until it has ended, and then compared with an undisturbed one."""

    def __init__(self, work: Path) -> None:
        self.home, alone = work / "sweep", fresh(work / "alone")
        start = time.monotonic()
        status, out = forks.run(alone, *SWEEP)
        assert status == 0, out
        self.duration, self.alone = time.monotonic() - start, only_sweep(alone)

    def once(self, chance: random.Random, quota: int, end: float) -> Tally:
        fresh(self.home)
        tally, left = Tally(runs=1), set[Path]()
        arguments: tuple[str, ...] = SWEEP
        quota = min(quota, KILLS_OF_A_SWEEP)
        while True:
            child, strike = start(self.home, arguments, "train", chance, RECORDS, self.duration)
            if tally.kills >= quota or time.monotonic() >= end or not strike():
                status = child.wait(600)
                if status:
                    tally.differences.append(f"status {status}: {child.out[-300:]}")
                break
            tally.kills += 1
            tally.hits += bool(half_written(self.home) - left)
            left = half_written(self.home)
            if any(self.home.glob(f"outputs/sweeps/*/*/{sweep_record.FILE}")):
                arguments = (f"resume_sweep={only_sweep(self.home)}",)
            else:
                tally.early += 1
                shutil.rmtree(self.home / "outputs", ignore_errors=True)
        if not tally.differences:
            tally.differences += differences(self.alone, only_sweep(self.home))
        return tally


def differences(alone: Path, killed_one: Path) -> list[str]:
    """List the differences between two sweeps of the same jobs: their jobs, states and runs, and the files in their folders."""
    sweeps = [sweep_record.load(folder) for folder in (alone, killed_one)]
    jobs = [[(job.number, job.label, sweep.true_state(job)["state"]) for job in sweep.jobs] for sweep in sweeps]
    found = [f"jobs: {jobs[1]}"] if jobs[0] != jobs[1] else []
    for one, other in zip(*(sweep.jobs for sweep in sweeps), strict=False):
        found += [f"job {one.number}: {text}" for text in compare.differences(alone / one.folder, killed_one / other.folder)]
    names = [Counter(path.name for path in folder.iterdir() if path.is_file()) for folder in (alone, killed_one)]
    names = [Counter({name: n for name, n in counted.items() if name != LOCK}) for counted in names]
    found += [f"in one of them only: {name}" for name in ((names[0] - names[1]) + (names[1] - names[0]))]
    found += [f"left: {path.name}" for path in half_written(killed_one)]
    record = json.loads((killed_one / sweep_record.FILE).read_text())
    found += [f"{sweep_record.FILE}: job {job['number']} is {job['state']}" for job in record["jobs"] if job["state"] != "done"]
    return found


# -------------------------------------------------------------------- the list


@dataclass(frozen=True)
class Aim:
    """What is killed: its name on the page, and the function that prepares it."""

    name: str
    prepare: Prepare


AIMS = (
    Aim(
        "a run, while it writes a checkpoint",
        Setup("", ("callbacks=minimal", "callbacks.last.every_n_steps=4"), 1, writing=("last.ckpt", "best.ckpt")).prepare,
    ),
    Aim("`evaluate`", prepare_evaluate),
    Aim("`report`", prepare_report),
    Aim("a sweep of 4 jobs", prepare_sweep),
)
