"""Checks that everything works on a machine with a GPU, in one table: `make gpu-check` (under 8 minutes on one GPU).

Each row is a command as a user types it, in its own process, on the bundled digits: training in each precision, compiled with
CUDA graphs, and by DDP with one device; measuring; drawing; and a run that is killed and resumed, which must end bit for bit like
an uninterrupted one (with `trainer.deterministic=true`). The exit status is 1 if a row fails, 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).parents[1]
SMALL = ("trainer.max_epochs=3", "callbacks=minimal", "logger=none")
LIMIT = 150  # seconds for one command


@dataclass
class Row:
    """What was tried, whether it worked, images/s of the last epoch, seconds of the whole command, and a note."""

    name: str
    held: bool
    images_per_second: float | None
    seconds: float
    note: str = ""


def command(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(REPOSITORY / script), *arguments]
    try:
        return subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, 124, "", f"it took more than {LIMIT} seconds")


def trained(cwd: Path, *arguments: str) -> tuple[Path | None, str]:
    """The run folder of a training command, or None and its last line of errors."""
    done = command("train.py", *arguments, f"output_dir={cwd / 'outputs'}", cwd=cwd)
    folders = sorted((cwd / "outputs").glob("*/*/results.json"), key=lambda path: path.stat().st_mtime_ns)
    if done.returncode or not folders:
        return None, (done.stderr.strip().splitlines() or ["it made no run"])[-1]
    return folders[-1].parent, ""


def training(*arguments: str) -> Callable[[Path], Row]:
    """Make a row: a training run ends, on the GPU, with a finite test ELBO."""

    def row(cwd: Path) -> Row:
        began = time.perf_counter()
        folder, error = trained(cwd, *SMALL, *arguments)
        seconds = time.perf_counter() - began
        if folder is None:
            return Row("", False, None, seconds, error)
        results = json.loads((folder / "results.json").read_text())
        held = results["device"].startswith("cuda") and results["test"]["elbo"] == results["test"]["elbo"]
        return Row(
            "", held, results["images_per_second"], seconds, f"{results['device']}, test elbo {results['test']['elbo']:.1f}"
        )

    return row


def on_run(script: str, *arguments: str) -> Callable[[Path], Row]:
    """Make a row: a command on a run that was just trained."""

    def row(cwd: Path) -> Row:
        folder, error = trained(cwd, *SMALL)
        if folder is None:
            return Row("", False, None, 0, error)
        began = time.perf_counter()
        done = command(script, f"run={folder}", *arguments, cwd=cwd)
        note = (done.stderr if done.returncode else done.stdout).strip().splitlines()
        return Row("", done.returncode == 0, None, time.perf_counter() - began, note[-1] if done.returncode and note else "")

    return row


def killed_and_resumed(*arguments: str) -> Callable[[Path], Row]:
    """Make a row: SIGKILL during training, then `resume=`; weights and optimizer equal those of an uninterrupted run."""

    def row(cwd: Path) -> Row:
        began = time.perf_counter()
        settings = ("trainer.max_epochs=40", "callbacks=minimal", "logger=none", "trainer.deterministic=true", *arguments)
        whole, error = trained(cwd, *settings, "callbacks.last.every_n_steps=7")
        if whole is None:
            return Row("", False, None, 0, error)
        line = [sys.executable, str(REPOSITORY / "train.py"), *settings, "callbacks.last.every_n_steps=7"]
        process = subprocess.Popen(
            [*line, f"output_dir={cwd / 'killed'}"],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + LIMIT
        while (
            not (ready := list(cwd.glob("killed/*/*/checkpoints/last.ckpt")))
            and process.poll() is None
            and time.monotonic() < end
        ):
            time.sleep(0.01)
        time.sleep(0.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not ready:
            return Row("", False, None, time.perf_counter() - began, "no checkpoint was written before the kill")
        folder = ready[0].parents[1]
        finished = (folder / "results.json").exists()
        done = command("train.py", f"resume={folder}", cwd=cwd)
        if done.returncode:
            return Row("", False, None, time.perf_counter() - began, (done.stderr.strip().splitlines() or [""])[-1])
        different = differences(whole / "checkpoints" / "last.ckpt", folder / "checkpoints" / "last.ckpt")
        note = "it had ended before the kill" if finished else ("bit for bit" if not different else f"differs in {different[0]}")
        return Row("", not different and not finished, None, time.perf_counter() - began, note)

    return row


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of weights and moments that differ between two checkpoints."""
    a, b = (torch.load(path, map_location="cpu", weights_only=True) for path in (one, other))
    found = [name for name, value in a["state_dict"].items() if not torch.equal(value, b["state_dict"][name])]
    for mine, theirs in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        for place, state in mine["state"].items():
            found += [
                f"moment {name} of {place}"
                for name, value in state.items()
                if isinstance(value, torch.Tensor) and not torch.equal(value, theirs["state"][place][name])
            ]
    return found


ROWS: dict[str, Callable[[Path], Row]] = {
    "train, float32": training(),
    "train, 16-mixed": training("trainer.precision=16-mixed"),
    "train, bf16-mixed": training("trainer.precision=bf16-mixed"),
    "train, model=conv": training("model=conv"),
    "train, compile=default": training("compile=default"),
    "train, compile=reduce-overhead": training("compile=reduce-overhead"),
    "train, reduce-overhead and geco": training("compile=reduce-overhead", "beta_schedule=geco"),
    "train, trainer=ddp with one device": training("trainer=ddp", "trainer.devices=1"),
    "train, geco": training("beta_schedule=geco"),
    "killed and resumed, float32": killed_and_resumed(),
    "killed and resumed, bf16-mixed": killed_and_resumed("trainer.precision=bf16-mixed"),
    "killed and resumed, geco": killed_and_resumed("beta_schedule=geco"),
    "evaluate": on_run("evaluate.py", "nll.samples=100", "device=cuda"),
    "generate": on_run("generate.py", "device=cuda"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="run only the rows whose names contain one of these")
    parser.add_argument("--seconds", type=float, default=480, help="start no row after this many seconds (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.stderr.write("error: this machine has no GPU that torch can use, so there is nothing to check.\n")
        return 2
    console, began = Console(), time.perf_counter()
    table = Table("what", "held", "images/s", "seconds", "note", box=None, pad_edge=False)
    failed = 0
    for name, row in ROWS.items():
        if given.only and not any(re.search(word, name) for word in given.only):
            continue
        if time.perf_counter() - began > given.seconds:
            table.add_row(name, "not run", "", "", f"{given.seconds:.0f} seconds were over")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = row(Path(folder))
        failed += not found.held
        speed = "" if found.images_per_second is None else f"{found.images_per_second:,.0f}"
        table.add_row(name, "yes" if found.held else "NO", speed, f"{found.seconds:.0f}", found.note)
        console.print(f"{name}: {'held' if found.held else 'FAILED'} ({found.seconds:.0f} s) {found.note}", highlight=False)
    console.print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", highlight=False)
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
