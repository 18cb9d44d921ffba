"""docs/reliability.md: what was done to runs, and what was lost."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tests.chaos.bad_input import MODULES, Tried


@dataclass
class Tally:
    """What happened to one setup."""

    kills: int = 0
    early: int = 0  # before the first checkpoint: the run began anew
    runs: int = 0
    steps: int = 0
    differences: list[str] = field(default_factory=list)


Fault = tuple[str, str, str]  # which, how it ended, what was said


def page(
    tallies: dict[str, Tally], cuts: Counter[str], rows: Sequence[Fault], inputs: Sequence[Tried], seconds: float, command: str
) -> str:
    """The page; `tallies` by the name of a setup."""
    kills, early = sum(t.kills for t in tallies.values()), sum(t.early for t in tallies.values())
    lost = sum(bool(t.differences) for t in tallies.values()) + cuts["cuts not noticed"] + cuts["flips that changed what is read"]
    lost += sum(end != "as promised" for _, end, _ in rows) + sum(row.failed for row in inputs)
    versions = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}, {os.cpu_count()} CPU cores"
    lines = [
        "# What was done to runs, and what was lost",
        "",
        f"Written by `{command}` on {time.strftime('%Y-%m-%d')} ({versions}), in {seconds / 60:.0f} minutes.",
        "",
        f"**{kills} kills (SIGKILL), {kills - early} of them resumed from a checkpoint and {early} before there was one; "
        f"{cuts['bytes at which it was cut']} cuts of a checkpoint, {len(rows)} faults, "
        f"{sum(row.inputs for row in inputs)} bad inputs. Lost, or not as promised: {lost}.**",
        "",
        "## Kills",
        "",
        "A run is killed at random moments, up to 20 times, resumed each time by `python train.py resume=<run>`, and compared",
        "with the same run left alone: `metrics.csv` byte by byte; the figures of `results.json`; every tensor and number in",
        "`best.ckpt` and `last.ckpt` (weights, optimizer, schedules, random states, sums of metrics, progress); every scalar",
        "and picture in the raw TensorBoard files, with how often it is there; and which files there are. Clocks are left out.",
        "On the CPU. Of several processes, all at once are killed, the command alone, or another one alone, by chance.",
        "",
        "| setup | steps | kills | before the first checkpoint | runs | differences |",
        "|---|---|---|---|---|---|",
    ]
    for name, t in tallies.items():
        found = "; ".join(t.differences[:2]).replace("|", "/").replace("\n", " ")[:200] if t.differences else "0"
        lines.append(f"| {name} | {t.steps} | {t.kills} | {t.early} | {t.runs} | {found} |")
    lines += [
        "",
        "## Damaged checkpoints",
        "",
        "`last.ckpt` is cut to fewer bytes, and single bytes of it are flipped. It has to be named as damaged, with the command",
        "that goes on from the one before it; or, where a flipped byte carries no information, to read as it was.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in cuts.items()),
        "",
        "## Faults",
        "",
        "Each has to end the command with one sentence and a status that is not 0, and to leave the last good checkpoint good.",
        "",
        "| fault | ended | what was said |",
        "|---|---|---|",
        *(f"| {name} | {end} | {said} |" for name, end, said in rows),
        "",
        "## Bad input",
        "",
        "Wrong command lines, values, files, data, run folders and checkpoints, some of them made to run code, as",
        f"{' and '.join(f'`{module}`' for module in MODULES)} have them; what each was tried for is",
        "the name of its test. Tests of a single input are not counted.",
        "",
        "| what has to hold | inputs | not met |",
        "|---|---|---|",
        *(f"| {row.promise} | {row.inputs} | {row.failed} |" for row in inputs),
        "",
        LIMITS,
    ]
    return "\n".join(lines)


LIMITS = """## What is not promised

- On a GPU, kernels that add in no fixed order (cuDNN's, atomics) make two runs of one seed differ; `trainer.deterministic=true`
  is Lightning's remedy. Resuming there was not measured.
- `ddp` with 3 or more processes: gradients are added in buckets, whose order torch settles anew in the first step after a
  start, so a resumed run may differ in the last bits; `trainer.strategy=ddp_find_unused_parameters_true` keeps the order.
- `logger=csv`, `wandb` and `mlflow` begin a part of their own at each resume; `metrics.csv` and TensorBoard's files go on.
- A data set of one's own that draws random numbers in loader workers draws others after a resume in the middle of an epoch.
- A run that ended in the middle of an epoch (`max_steps`) and is prolonged goes on with the next epoch.
"""
