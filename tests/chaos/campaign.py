"""`make chaos`: kills runs, breaks their disks, damages their checkpoints and writes the outcome to docs/reliability.md."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import shlex
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.chaos import bad_input, faults, forks
from tests.chaos.aimed import AIMS, Aim
from tests.chaos.bad_input import Tried
from tests.chaos.killing import COMMON, Setup, fresh, gather
from tests.chaos.page import Found, page
from tests.chaos.record import Record

MID_EPOCH = ("callbacks=minimal", "callbacks.last.every_n_steps=10")
PROCESSES = ("command", "group", "other")
AIMED = 0.2  # of all kills

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


def inject(name: str, work: Path, record: Record, end: float) -> None:
    """Records whether a fault ended with the status and the message that were promised, and the message."""
    if time.monotonic() >= end:
        return
    try:
        ended = ("as promised", faults.FAULTS[name](fresh(work)).replace(str(work), "…"))
    except (AssertionError, TimeoutError) as error:
        ended = ("NOT as promised", " ".join(str(error).split())[-300:].replace("|", "/"))
    record.add("fault", name, ended)


def found_so_far(record: Record, wanted: dict[str, int]) -> Found:
    """What is in the record, and what is still to be done; `wanted` are the kills by name."""
    tallies, cuts, ended, tried = record.tallies(), record.of("cuts"), record.of("fault"), record.of("inputs")
    missing = [
        name
        for name, kills in wanted.items()
        if name not in tallies or not (tallies[name].differences or tallies[name].kills >= kills)
    ]
    missing += ["damaged checkpoints"] * (not cuts) + [name for name in faults.FAULTS if name not in ended]
    return Found(
        {setup.name: tallies[setup.name] for setup in SETUPS if setup.name in tallies},
        {aim.name: tallies[aim.name] for aim in AIMS if aim.name in tallies},
        Counter(cuts.get("", {})),
        [(name, *ended[name]) for name in faults.FAULTS if name in ended],
        sorted((Tried(*row) for rows in tried.values() for row in rows), key=lambda row: -row.inputs),
        missing + [f"bad input of {module}" for module in bad_input.MODULES if module not in tried],
    )


def command(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The command for the page: what differs from the defaults and counts for the outcome, without folders of this machine."""
    given = [
        f"--{name} {shlex.quote(value.name if isinstance(value, Path) else str(value))}"
        for name, value in vars(options).items()
        if name not in ("out", "minutes") and value != parser.get_default(name)
    ]
    return f'make chaos ARGS="{" ".join(given)}"' if given else "make chaos"


def parse() -> tuple[argparse.Namespace, str]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=250, help="number of kills in all setups together")
    parser.add_argument("--minutes", type=float, default=30, help="begin nothing new after this time")
    parser.add_argument("--state", type=Path, help="file that keeps what was found: the command continues where it was stopped")
    parser.add_argument("--cuts", type=int, default=100, help="truncations of a checkpoint, and as many changed bytes")
    parser.add_argument("--jobs", type=int, default=1, help="setups that run at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kill only in setups whose name contains this")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "docs" / "reliability.md")
    options = parser.parse_args()
    return options, command(options, parser)


def main() -> None:
    options, typed = parse()
    setups = [setup for setup in SETUPS if options.only in setup.name]
    aims = [aim for aim in AIMS if options.only in aim.name]
    shares = sum(setup.share for setup in setups)
    of_aims = AIMED * options.kills / len(AIMS)
    wanted = {setup.name: math.ceil((1 - AIMED) * options.kills * setup.share / shares) for setup in setups}
    wanted |= {aim.name: math.ceil(of_aims) for aim in aims}
    forks.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        record = Record(options.state or work / "state.jsonl")
        end = time.monotonic() + 60 * options.minutes

        def write() -> Found:
            """Writes the page with what was found so far."""
            found = found_so_far(record, wanted)
            options.out.write_text(page(found, record.seconds(), typed), encoding="utf-8")
            return found

        # forked, so that imported modules are shared
        pool = ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork"))
        try:
            waiting = {}
            order: list[Setup | Aim] = [*sorted(setups, key=lambda setup: not setup.in_training), *aims]  # the longest first
            for i, tried in enumerate(order):
                given = (tried.name, wanted[tried.name], tried.prepare, record, options.seed, work / f"kill{i}", end)
                waiting[pool.submit(gather, *given)] = tried.name
            for i, name in enumerate(faults.FAULTS):
                if name not in record.of("fault"):
                    waiting[pool.submit(inject, name, work / f"fault{i}", record, end)] = name
            for done in as_completed(waiting):
                name = waiting[done]
                if error := done.exception():
                    print(f"{name} could not be tried: {error}")
                if outcome := record.tallies().get(name) or record.of("fault").get(name):
                    print(f"{record.elapsed():6.0f} s  {name}: {outcome}", flush=True)
                    write()
        finally:
            pool.shutdown(cancel_futures=True)
        if time.monotonic() < end and not record.of("cuts"):
            record.add("cuts", "", cut_checkpoint(work, options.cuts, random.Random(options.seed)))
            write()
        for module in bad_input.MODULES:
            if time.monotonic() < end and module not in record.of("inputs"):
                record.add("inputs", module, bad_input.try_module(module, work / "bad_input.xml"))
                write()
        found = write()
    print(f"written: {options.out}")
    if found.missing:
        print(f"not tried to the end: {'; '.join(found.missing)}" + ("; the same command continues" if options.state else ""))
    sys.exit(found.lost > 0)


if __name__ == "__main__":
    main()
