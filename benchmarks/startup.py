"""Seconds from a command to its first training step, or to its error message: `python benchmarks/startup.py --repetitions 5`.

Each command runs in its own process, once uncounted at first (to write bytecode, if Python may, and to fill the disk cache). The
first step begins when Lightning calls the hook before it; the rest of the run is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TRAIN = str(HERE.parent / "train.py")
SHORT = ("trainer.max_steps=1", "trainer.limit_val_batches=1", "~callbacks.pictures", "~callbacks.film", "trainer=cpu")
STAMP = "+callbacks.stamp={_target_: startup.Stamp}"
COMMANDS = {
    "to the first step": (*SHORT, STAMP),
    "--help": ("--help",),
    "an unknown option": ("model=cnov",),
    "an unknown key": ("latent_dims=3",),
}


class Stamp(Callback):
    """Writes the time at which the first step begins to the file named by STAMP_FILE."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if trainer.global_step == 0:
            Path(os.environ["STAMP_FILE"]).write_text(str(time.time()))


def seconds(arguments: tuple[str, ...], folder: Path) -> float:
    """Seconds from the start of the process to the stamp, or to its end if it writes none."""
    stamp = folder / "stamp"
    stamp.unlink(missing_ok=True)
    command = [sys.executable, TRAIN, *arguments]
    if STAMP in arguments:
        command.append(f"output_dir={folder}")
    paths = os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
    start = time.time()
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths, "STAMP_FILE": str(stamp)}, capture_output=True, text=True, check=False
    )
    end = time.time()
    if STAMP in arguments:
        if not stamp.exists():
            raise SystemExit(f"{' '.join(command)} made no step:\n{done.stderr}")
        end = float(stamp.read_text())
    return end - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    console = Console()
    shown = Table(
        title=f"seconds, median of {repetitions} (bytecode {'not ' * sys.dont_write_bytecode}kept)", title_justify="left"
    )
    for column in ("python train.py …", "median", "min – max"):
        shown.add_column(column, justify="left" if column.startswith("python") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            times = [seconds(arguments, Path(folder)) for _ in range(repetitions + 1)][1:]
            shown.add_row(name, f"{statistics.median(times):.1f}", f"{min(times):.1f} – {max(times):.1f}")
            console.print(f"{name}: done", style="dim")
    console.print(shown)


if __name__ == "__main__":
    main()
