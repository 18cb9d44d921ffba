"""Writes docs/reliability.md: what was done to runs, and what was lost."""

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
    early: int = 0  # before the first checkpoint, so that the run started again
    runs: int = 0
    steps: int = 0
    differences: list[str] = field(default_factory=list)


Fault = tuple[str, str, str]  # its name, whether it ended as promised, the message


def page(
    tallies: dict[str, Tally], cuts: Counter[str], rows: Sequence[Fault], inputs: Sequence[Tried], seconds: float, command: str
) -> str:
    """The page as Markdown; `tallies` by the name of a setup."""
    kills, early = sum(t.kills for t in tallies.values()), sum(t.early for t in tallies.values())
    lost = (
        sum(bool(t.differences) for t in tallies.values())
        + cuts["truncations not noticed"]
        + cuts["changed bytes that changed the content"]
    )
    lost += sum(end != "as promised" for _, end, _ in rows) + sum(row.failed for row in inputs)
    versions = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}, {os.cpu_count()} CPU cores"
    lines = [
        "# Reliability: killed runs, broken disks, damaged checkpoints and bad input",
        "",
        f"Written by `{command}` on {time.strftime('%Y-%m-%d')} ({versions}), in {seconds / 60:.0f} minutes.",
        "",
        f"**{kills} kills (SIGKILL), {kills - early} of them resumed from a checkpoint and {early} before there was one; "
        f"{cuts['truncated checkpoints']} truncated checkpoints, {len(rows)} faults, "
        f"{sum(row.inputs for row in inputs)} bad inputs. Lost, or not as promised: {lost}.**",
        "",
        "## Kills",
        "",
        "A run is killed at random moments, up to 20 times, and resumed each time with `python train.py resume=<run>`. Then it",
        "is compared with the same run that was not interrupted: `metrics.csv` byte by byte; the metrics in `results.json`;",
        "every tensor and number in `best.ckpt` and `last.ckpt` (weights, optimizer, schedules, random states, sums of metrics,",
        "progress); every scalar and picture in the TensorBoard files, and how often it is there; and the names of the files.",
        "Times are not compared. All runs are on the CPU. With several processes, either all of them are killed, or only the",
        "main process, or only another one, chosen at random.",
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
        "`last.ckpt` is truncated at many places, and single bytes of it are changed. The command has to say that it is damaged",
        "and how to resume from an earlier checkpoint, or, if the changed byte carries no information, read the same content.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in cuts.items()),
        "",
        "## Faults",
        "",
        "Each fault has to end the command with one sentence and a status other than 0, and to leave the last good checkpoint",
        "intact.",
        "",
        "| fault | ended | message |",
        "|---|---|---|",
        *(f"| {name} | {end} | {said} |" for name, end, said in rows),
        "",
        "## Bad input",
        "",
        "Wrong command lines, values, files, data, run folders and checkpoints, some of which try to run code, as tested in",
        f"{' and '.join(f'`{module}`' for module in MODULES)}. What they are tested for is the",
        "name of the test. Tests with a single input are not counted.",
        "",
        "| test | inputs | failed |",
        "|---|---|---|",
        *(f"| {row.promise} | {row.inputs} | {row.failed} |" for row in inputs),
        "",
        LIMITS,
    ]
    return "\n".join(lines)


LIMITS = """## What is not promised

- On a GPU, kernels that add in no fixed order (cuDNN's, atomics) make two runs of the same seed differ; Lightning's
  `trainer.deterministic=true` prevents this. Resuming on a GPU was not tested.
- `ddp` with 3 or more processes: gradients are added in buckets, whose order torch decides in the first step after a start. So a
  resumed run may differ in the last bits; `trainer.strategy=ddp_find_unused_parameters_true` keeps the order.
- `logger=csv`, `wandb` and `mlflow` start a new part at each resume; `metrics.csv` and TensorBoard's files are continued.
- A data set of your own that draws random numbers in data workers draws different ones after a resume within an epoch.
- A run that ended within an epoch (`max_steps`) and is extended continues with the next epoch.
"""
