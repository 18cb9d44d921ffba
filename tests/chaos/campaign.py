"""`make chaos`: kills runs, breaks their disks, damages their checkpoints and writes the outcome to docs/reliability.md."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import bad_input, compare, faults, forks
from tests.chaos.bad_input import Tried
from tests.chaos.page import Fault, Tally, page

COMMON = (
    "model.hidden=[32]", "latent_dim=3", "trainer.max_epochs=5", "trainer.limit_train_batches=50", "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=7", "data.val_size=100", "data.test_size=100",
)  # fmt: skip
MID_EPOCH = ("callbacks=minimal", "callbacks.last.every_n_steps=10")


COMMAND, PROCESSES = ("command",), ("command", "group", "other")


@dataclass(frozen=True)
class Setup:
    """A kind of run, and its share of the kills.

    Args:
        name: its name on the page.
        overrides: of the command line.
        share: its share of the kills, relative to the other setups.
        start_up: kill while the run is being resumed.
        in_training: kill mostly after the first step, for runs that take longer to start than to train.
        whom: one of these is killed, chosen at random (see `forks.Child.kill`).
    """

    name: str
    overrides: tuple[str, ...]
    share: float
    start_up: bool = False
    in_training: bool = False
    whom: tuple[str, ...] = COMMAND


SETUPS = (
    Setup("a checkpoint each epoch", ("callbacks=minimal",), 1),
    Setup("every 10 steps, all callbacks and pictures", ("callbacks.last.every_n_steps=10",), 1),
    Setup("every 0.12 seconds", ("callbacks=minimal", "callbacks.last.every_n_minutes=0.002"), 1),
    Setup(
        "cyclical β, lr milestones, every 10 steps",
        (*MID_EPOCH, "beta=4", "beta_schedule=cyclical", "lr_schedule=multistep"),
        1,
    ),
    Setup("2 data workers, every 10 steps", (*MID_EPOCH, "data.num_workers=2"), 1),
    Setup(
        "early stopping, every 10 steps",
        ("callbacks=early_stopping", "callbacks.last.every_n_steps=10", "callbacks.early_stopping.patience=1",
         "callbacks.early_stopping.min_delta=15", "trainer.max_epochs=20"),
        1,
    ),
    Setup("bf16-mixed, every 10 steps", (*MID_EPOCH, "trainer.precision=bf16-mixed"), 1),
    Setup(
        "gradients of 3 batches, every 4 steps",
        (*MID_EPOCH, "callbacks.last.every_n_steps=4", "trainer.accumulate_grad_batches=3"),
        1,
    ),
    Setup("max_steps=230, every 10 steps", (*MID_EPOCH, "trainer.max_steps=230"), 1),
    Setup("two validations an epoch, every 10 steps", (*MID_EPOCH, "trainer.val_check_interval=0.5"), 1),
    Setup("three validations an epoch and pictures, every step",
          ("callbacks.last.every_n_steps=1", "trainer.val_check_interval=0.3", "trainer.limit_train_batches=24"), 1),
    Setup("a validation every 17 batches and pictures, every step",
          ("callbacks.last.every_n_steps=1", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=17",
           "trainer.limit_train_batches=24"), 1),
    Setup("a validation every second epoch and pictures, every 10 steps",
          ("callbacks.last.every_n_steps=10", "trainer.check_val_every_n_epoch=2"), 1),
    Setup("conv, every 10 steps", (*MID_EPOCH, "model=conv", "~model.hidden"), 0.5),
    Setup("sprites, every 10 steps", (*MID_EPOCH, "data=sprites"), 0.5),
    Setup("ladder, every 10 steps", (*MID_EPOCH, "hierarchy=ladder"), 0.5),
    Setup("factor, bf16-mixed, gradients of 2 batches, every 5 steps",
          (*MID_EPOCH, "objective=factor", "trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2",
           "callbacks.last.every_n_steps=5"), 0.5),
    Setup("dreg, every 10 steps", (*MID_EPOCH, "objective=dreg"), 0.5),
    Setup("geco, every 10 steps", (*MID_EPOCH, "beta_schedule=geco"), 0.5),
    Setup("control, every 10 steps", (*MID_EPOCH, "beta_schedule=control"), 0.5),
    Setup("vamp, every 10 steps", (*MID_EPOCH, "prior=vamp"), 0.5),
    Setup("flow, every 10 steps", (*MID_EPOCH, "posterior=flow"), 0.5),
    Setup("compile=default, every 10 steps", (*MID_EPOCH, "compile=default"), 0.25, in_training=True),
    Setup("killed while resuming, every 10 steps", MID_EPOCH, 1, start_up=True),
    Setup("ddp, 2 processes, every 10 steps", (*MID_EPOCH, "trainer=ddp", "trainer.strategy=ddp_fork"), 1, whom=PROCESSES),
    Setup("ddp, 2 processes, bf16-mixed, every 10 steps",
          (*MID_EPOCH, "trainer=ddp", "trainer.strategy=ddp_fork", "trainer.precision=bf16-mixed"), 0.5, whom=PROCESSES),
    Setup("ddp, the command run again for the second process, every 10 steps",
          (*MID_EPOCH, "trainer=ddp", "trainer.max_epochs=10"), 0.5, in_training=True, whom=PROCESSES),
)  # fmt: skip


def kill_setup(setup: Setup, kills: int, seed: int, work: Path, end: float) -> Tally:
    """Kills runs at random moments, `kills` times or until `end`, resumes them, and compares them with an uninterrupted run."""
    tally, chance, began = Tally(), random.Random(seed), work / "began"
    alone = fresh(work / "alone")
    start = time.monotonic()
    child = forks.start(alone, *COMMON, *setup.overrides, plant=faults.at_step(0, began.touch))
    assert child.wait(300) == 0, child.out
    duration, training = time.monotonic() - start, time.time() - began.stat().st_mtime
    tally.steps = compare.last_step(forks.only_run(alone))
    while tally.kills < kills and (time.monotonic() < end or not tally.runs):
        folder, arguments = fresh(work / "killed"), [*COMMON, *setup.overrides]
        quota = min(20, kills - tally.kills)
        while True:
            began.unlink(missing_ok=True)
            child = forks.start(folder, *arguments, plant=faults.at_step(0, began.touch))
            resumes, after = arguments[0].startswith("resume="), None
            if setup.in_training and chance.random() < 0.8:
                after, moment = began, chance.uniform(0.0, 0.7 * training)
            elif setup.start_up:
                moment = duration * (chance.uniform(0.0, 0.25) if resumes else chance.uniform(0.5, 0.9))
            else:
                moment = duration * chance.uniform(0.0, 0.7)
            if quota and time.monotonic() < end and killed(child, moment, chance.choice(setup.whom), after):
                tally.kills, quota = tally.kills + 1, quota - 1
            else:
                status = child.wait(300)
                if status:
                    tally.differences.append(f"status {status}: {child.out[-300:]}")
                break
            found = list(folder.glob("outputs/**/config.yaml"))
            if found and any((found[0].parent / "checkpoints").glob("*.ckpt")):
                arguments = [f"resume={found[0].parent}"]
            else:
                tally.early += 1
                shutil.rmtree(folder / "outputs", ignore_errors=True)
        tally.runs += 1
        if not tally.differences:
            tally.differences += compare.differences(forks.only_run(alone), forks.only_run(folder))
        if tally.differences:
            break
    return tally


def killed(child: forks.Child, delay: float, whom: str = "command", after: Path | None = None) -> bool:
    """Kills it after `delay` seconds, counted from when the file `after` appears; False if it had ended by then."""
    end = time.monotonic() + delay
    while time.monotonic() < end or (after is not None and not after.exists()):
        if child.ended():
            return False
        if after is not None and not after.exists():
            end = time.monotonic() + delay
        time.sleep(0.005)
    if child.ended():
        return False
    child.kill(whom=whom)
    child.wait()
    return True


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def cut_checkpoint(work: Path, cuts: int, chance: random.Random) -> Counter[str]:
    """Truncates last.ckpt at many places and flips bytes in it: each time the resume has to name it and offer an earlier one."""
    folder = fresh(work / "cut")
    assert forks.run(folder, *COMMON, *MID_EPOCH)[0] == 0
    run = forks.only_run(folder)
    counted: Counter[str] = Counter()
    last = run / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    places = {0, 1, 2, 100, len(whole) - 1, len(whole) - 2, len(whole) - 22, len(whole) - 23}
    places |= {chance.randrange(len(whole)) for _ in range(cuts)}
    for place in sorted(places):
        last.write_bytes(whole[:place])
        counted["truncated checkpoints"] += 1
        counted["truncations not noticed"] += not faults.is_named(run)
    for _ in range(cuts):
        place = chance.randrange(len(whole))
        last.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        counted["changed bytes"] += 1
        counted["changed bytes that changed the content"] += faults.is_misread(run, whole)
    last.write_bytes(whole)
    return counted


def inject(name: str, work: Path) -> tuple[str, str, str]:
    """(name of the fault, whether status and message were as promised, the message)."""
    try:
        return name, "as promised", faults.FAULTS[name](fresh(work)).replace(str(work), "…")
    except (AssertionError, TimeoutError) as error:
        return name, "NOT as promised", " ".join(str(error).split())[-300:].replace("|", "/")


def main(seconds: Callable[[], float] = time.monotonic) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=250, help="number of kills in all setups together")
    parser.add_argument("--minutes", type=float, default=30, help="stop killing after this time")
    parser.add_argument("--cuts", type=int, default=100, help="truncations of a checkpoint, and as many changed bytes")
    parser.add_argument("--jobs", type=int, default=1, help="setups that run at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only setups whose name contains this")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "docs" / "reliability.md")
    options = parser.parse_args()
    began = seconds()
    setups = [setup for setup in SETUPS if options.only in setup.name]
    shares = sum(setup.share for setup in setups)
    tallies: dict[str, Tally] = {}
    arguments = " ".join(sys.argv[1:])

    def write(cuts: Counter[str], rows: Sequence[Fault], inputs: Sequence[Tried] = ()) -> str:
        """Writes the page with the results so far."""
        command = f'make chaos ARGS="{arguments}"' if arguments else "make chaos"
        done = {setup.name: tallies[setup.name] for setup in SETUPS if setup.name in tallies}
        text = page(done, cuts, rows, inputs, seconds() - began, command)
        options.out.write_text(text, encoding="utf-8")
        return text

    forks.warm_up()
    # forked, so that imported modules are shared
    pool = ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork"))
    with tempfile.TemporaryDirectory() as folder, pool:
        work = Path(folder)
        end = time.monotonic() + 60 * options.minutes
        waiting = {}
        for i, setup in sorted(enumerate(setups), key=lambda numbered: not numbered[1].in_training):  # the longest first
            kills = math.ceil(options.kills * setup.share / shares)
            arguments_of = (setup, kills, options.seed + i, work / f"kill{i}", end)
            waiting[pool.submit(kill_setup, *arguments_of)] = setup.name
        injected = [pool.submit(inject, name, work / f"fault{i}") for i, name in enumerate(faults.FAULTS)]
        for done in as_completed(waiting):
            tallies[waiting[done]] = done.result()
            print(f"{seconds() - began:6.0f} s  {waiting[done]}: {done.result()}", flush=True)
            write(Counter(), [])
        cuts = cut_checkpoint(work, options.cuts, random.Random(options.seed))
        print(dict(cuts), flush=True)
        rows = []
        for fault in injected:
            rows.append(fault.result())
            print(rows[-1], flush=True)
            write(cuts, rows)
        inputs = bad_input.try_all(work / "bad_input.xml")
        print(*inputs, sep="\n", flush=True)
        text = write(cuts, rows, inputs)
    print(f"written: {options.out}")
    sys.exit("Lost, or not as promised: 0." not in text)


if __name__ == "__main__":
    main()
