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
    hits: int = 0  # kills that left a file half-written
    differences: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.kills + other.kills, self.early + other.early, self.runs + other.runs, max(self.steps, other.steps),
            self.hits + other.hits, self.differences + other.differences,
        )  # fmt: skip


Fault = tuple[str, str, str]  # its name, whether it ended as promised, the message


@dataclass
class Found:
    """What the campaign has found.

    Args:
        tallies: of kills at random moments, by the name of a setup.
        aimed: of kills aimed at something, by its name.
        cuts: of damaged checkpoints.
        faults: of faults that were injected.
        inputs: of bad inputs.
        missing: what has not been tried to the end.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    aimed: dict[str, Tally] = field(default_factory=dict)
    cuts: Counter[str] = field(default_factory=Counter)
    faults: Sequence[Fault] = ()
    inputs: Sequence[Tried] = ()
    missing: Sequence[str] = ()

    @property
    def lost(self) -> int:
        """How much was lost, or not as promised."""
        tallies = (*self.tallies.values(), *self.aimed.values())
        unnoticed = self.cuts["truncations not noticed"] + self.cuts["changed bytes that changed the content"]
        not_as_promised = sum(end != "as promised" for _, end, _ in self.faults) + sum(row.failed for row in self.inputs)
        return sum(bool(t.differences) for t in tallies) + unnoticed + not_as_promised


def page(found: Found, seconds: float, command: str) -> str:
    """The page as Markdown."""
    tallies, aimed, cuts, rows, inputs = found.tallies, found.aimed, found.cuts, found.faults, found.inputs
    kills, early = sum(t.kills for t in tallies.values()), sum(t.early for t in tallies.values())
    aimed_kills = sum(t.kills for t in aimed.values())
    versions = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}, {os.cpu_count()} CPU cores"
    lines = [
        "# Reliability: killed runs, broken disks, damaged checkpoints and bad input",
        "",
        f"Written by `{command}` on {time.strftime('%Y-%m-%d')} ({versions}), in {seconds / 60:.0f} minutes.",
        "",
        f"**{kills + aimed_kills} kills (SIGKILL): {kills} of runs at random moments, {kills - early} of them resumed from a "
        f"checkpoint and {early} before there was one, and {aimed_kills} aimed ones; "
        f"{cuts['truncated checkpoints']} truncated checkpoints, {len(rows)} faults, "
        f"{sum(row.inputs for row in inputs)} bad inputs. Lost, or not as promised: {found.lost}.**",
        "",
        *([f"Not tried, or not to the end, within the time given: {'; '.join(found.missing)}.", ""] if found.missing else []),
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
    lines += [f"| {name} | {t.steps} | {t.kills} | {t.early} | {t.runs} | {_differences(t)} |" for name, t in tallies.items()]
    lines += [
        "",
        "## Aimed kills",
        "",
        "- While a checkpoint is written, within 6 milliseconds from when the file is opened. Every checkpoint in the folder has",
        "  to be intact, and the resumed run equal to the one that was not interrupted, as above.",
        "- `evaluate` and `report`, at any moment, just after they open one of their files, or just before they rename it. Each",
        "  file has to be as before, or as the command leaves it when it is not killed, and all others as before. The command is",
        "  then run again: every file has to be as if there had been no kill, and no temporary file left.",
        "- A sweep, at the same kinds of moments, up to 4 times, resumed each time with `python train.py resume_sweep=<sweep>`.",
        "  All jobs have to be done, and each equal to the same job of a sweep that was not interrupted, as above.",
        "",
        "| what is killed | kills | file half-written | lost |",
        "|---|---|---|---|",
        *(f"| {name} | {t.kills} | {t.hits} | {_differences(t)} |" for name, t in aimed.items()),
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
        "Wrong command lines, values, files, data, run folders and checkpoints, and hostile folders, some of which try to run",
        f"code, as tested in {', '.join(f'`{module}`' for module in MODULES)}.",
        "What they are tested for is the name of the test. Tests with a single input are not counted.",
        "",
        "| test | inputs | failed |",
        "|---|---|---|",
        *(f"| {row.promise} | {row.inputs} | {row.failed} |" for row in inputs),
        "",
        LIMITS,
    ]
    return "\n".join(lines)


def _differences(tally: Tally) -> str:
    """The first differences, in a cell of a table; 0 without any."""
    return "; ".join(tally.differences[:2]).replace("|", "/").replace("\n", " ")[:200] or "0"


LIMITS = """## What is not promised

- On a GPU, kernels that add in no fixed order (cuDNN's, atomics) make two runs of the same seed differ; Lightning's
  `trainer.deterministic=true` prevents this. Resuming on a GPU was not tested.
- `ddp` with 3 or more processes: gradients are added in buckets, whose order torch decides in the first step after a start. So a
  resumed run may differ in the last bits; `trainer.strategy=ddp_find_unused_parameters_true` keeps the order.
- `logger=csv`, `wandb` and `mlflow` start a new part at each resume; `metrics.csv` and TensorBoard's files are continued.
- A data set of your own that draws random numbers in data workers draws different ones after a resume within an epoch.
- A run that ended within an epoch (`max_steps`) and is extended continues with the next epoch.
"""
