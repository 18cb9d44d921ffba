"""Kills runs at random moments, or while they write a checkpoint, resumes them, and compares them with an undisturbed run."""

from __future__ import annotations

import os
import random
import select
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import compare, faults, forks
from tests.chaos.page import Tally
from tests.chaos.record import Record
from vae_lightning.runs.checkpoint_files import is_intact

COMMON = (
    "model.hidden=[32]", "latent_dim=3", "trainer.max_epochs=5", "trainer.limit_train_batches=50", "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=7", "data.val_size=100", "data.test_size=100",
)  # fmt: skip
COMMAND = ("command",)
LONGEST_WRITING = 0.006  # seconds; by then the file is on the disk

Once = Callable[[random.Random, int, float], Tally]  # (chance, most kills, time of the last one): one run or command
Prepare = Callable[[Path], Once]  # does what precedes the kills, in its own folder


@dataclass(frozen=True)
class Setup:
    """A kind of run, and its share of the kills.

    Args:
        name: the name on the page.
        overrides: the overrides on the command line.
        share: the share of the kills, relative to the other setups.
        start_up: kill the run while it is being resumed.
        in_training: kill mostly after the first step; for runs that take longer to start than to train.
        whom: what may be killed; one of these is chosen at random (see `forks.Child.kill`).
        writing: kill the run while it writes one of these files.
    """

    name: str
    overrides: tuple[str, ...]
    share: float
    start_up: bool = False
    in_training: bool = False
    whom: tuple[str, ...] = COMMAND
    writing: tuple[str, ...] = ()

    def prepare(self, work: Path) -> Once:
        return Runs(self, work).once


def gather(name: str, wanted: int, prepare: Prepare, record: Record, seed: int, work: Path, end: float) -> None:
    """Kill until `wanted` kills are in the record, something was lost, or the time is over; record each unit when it is done."""
    once: Once | None = None
    parent = os.getppid()
    while time.monotonic() < end and os.getppid() == parent:  # the campaign itself may have been killed
        done = record.tallies().get(name, Tally())
        if done.kills >= wanted or done.differences:
            return
        once = once or prepare(work)
        try:
            tally = once(random.Random(f"{seed} {name} {done.runs}"), min(20, wanted - done.kills), end)
        except Exception as error:  # the command hangs, or a file is missing or cannot be read
            tally = Tally(runs=1, differences=[f"{type(error).__name__}: {error}"])
        record.add_tally(name, tally)


class Runs:
    """Runs of one setup.

    Args:
        setup: the setup.
        work: a folder for the runs.
    """

    def __init__(self, setup: Setup, work: Path) -> None:
        self.setup, self.work, self.began = setup, fresh(work), work / "began"
        alone, start = fresh(work / "alone"), time.monotonic()
        child = forks.start(alone, *COMMON, *setup.overrides, plant=faults.at_step(0, self.began.touch))
        assert child.wait(600) == 0, child.out
        self.duration, self.training = time.monotonic() - start, time.time() - self.began.stat().st_mtime
        self.alone = forks.only_run(alone)

    def once(self, chance: random.Random, quota: int, end: float) -> Tally:
        """Kill a run up to `quota` times until `end`, resume it each time, and compare it when it has ended."""
        tally, folder = Tally(runs=1, steps=compare.last_step(self.alone)), fresh(self.work / "killed")
        arguments, left = [*COMMON, *self.setup.overrides], set[Path]()
        while True:
            child, strike = self.start(folder, arguments, chance)
            if tally.kills >= quota or time.monotonic() >= end or not strike():
                status = child.wait(600)
                if status:
                    tally.differences.append(f"status {status}: {child.out[-300:]}")
                if not tally.kills and self.began.exists():  # faster than the first run, which compiled
                    self.training = min(self.training, time.time() - self.began.stat().st_mtime)
                break
            tally.kills += 1
            tally.hits += bool(half_written(folder) - left)
            left = half_written(folder)
            if broken := [path.name for path in folder.glob("outputs/**/*.ckpt") if not is_intact(path)]:
                tally.differences.append(f"not intact after a kill: {', '.join(broken)}")
            if found := list(folder.glob("outputs/**/checkpoints/*.ckpt")):
                arguments = [f"resume={found[0].parents[1]}"]
            else:
                tally.early += 1
                shutil.rmtree(folder / "outputs", ignore_errors=True)
        if not tally.differences:
            tally.differences += compare.differences(self.alone, forks.only_run(folder))
        return tally

    def start(self, folder: Path, arguments: list[str], chance: random.Random) -> tuple[forks.Child, Callable[[], bool]]:
        """Start or resume the run; also return a function that kills it and returns False if it had ended by then."""
        setup, resumes = self.setup, arguments[0].startswith("resume=")
        if setup.writing:
            writing = Writing(setup.writing, chance.randint(1, 6))
            child = forks.start(folder, *arguments, plant=writing.plant)
            return child, lambda: writing.kill(child, chance.uniform(0.0, LONGEST_WRITING))
        self.began.unlink(missing_ok=True)
        child, after = forks.start(folder, *arguments, plant=faults.at_step(0, self.began.touch)), None
        if setup.in_training and chance.random() < 0.8:
            after, moment = self.began, chance.uniform(0.0, 0.7 * self.training)
        elif setup.start_up:
            moment = self.duration * (chance.uniform(0.0, 0.25) if resumes else chance.uniform(0.5, 0.9))
        else:
            moment = self.duration * chance.uniform(0.0, 0.7)
        whom = chance.choice(setup.whom)
        return child, lambda: killed(child, moment, whom, after)


def killed(child: forks.Child, delay: float, whom: str = "command", after: Path | None = None) -> bool:
    """Kill it after `delay` seconds, counted from when the file `after` appears; return False if it had ended by then."""
    end = time.monotonic() + delay
    while time.monotonic() < end or (after is not None and not after.exists()):
        if child.ended():
            return False
        if after is not None and not after.exists():
            end = time.monotonic() + delay
        time.sleep(0.005)
    return kill(child, whom)


def kill(child: forks.Child, whom: str = "command") -> bool:
    """Kill it; return False if it had ended by then."""
    if child.ended():
        return False
    child.kill(whom=whom)
    child.wait()
    return True


class Writing:
    """Knows to a fraction of a millisecond when a command begins to write a file, since the command says so through a pipe.

    Args:
        names: the names of the files.
        number: which of the writings the command reports, counted from 1.
        whole: report it when the temporary file is complete, and wait to be killed before that file is renamed.
    """

    def __init__(self, names: tuple[str, ...], number: int, whole: bool = False) -> None:
        self.names, self.number, self.whole = names, number, whole
        read, write = os.pipe()
        self.listen, self.say = os.fdopen(read, "rb", buffering=0), os.fdopen(write, "wb", buffering=0)

    def plant(self) -> None:
        def begins(path: Path, *_: object) -> None:
            self.number -= path.name in self.names
            if self.number == 0:
                self.number = -1
                self.say.write(b"x")
                if self.whole:
                    time.sleep(60)

        if self.whole:
            faults.at_call("pathlib:Path", "replace", lambda old, new: begins(new))()
            return
        faults.at_call("vae_lightning.files", "atomic_path", begins)()

    def kill(self, child: forks.Child, delay: float) -> bool:
        """Wait for the command to begin to write, and kill it `delay` seconds later; return False if it had ended by then."""
        self.say.close()
        with self.listen:
            while not select.select([self.listen], [], [], 0.1)[0]:
                if child.ended():
                    return False
            if not self.listen.read(1):  # the command has ended and the pipe is closed
                return False
        time.sleep(delay)
        return kill(child)


def half_written(folder: Path) -> set[Path]:
    """Return the temporary files of files whose writing has not ended."""
    return set(folder.rglob(".*.tmp"))


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
