"""`python report.py sweep=outputs/sweeps/…`: summarise one or more sweeps, finished or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_folder
from vae_lightning.config.compose import quote
from vae_lightning.errors import UserError, check_choice, check_int
from vae_lightning.files import user_path
from vae_lightning.runs.sweep_record import load


def main() -> None:
    """Run the command."""
    sys.argv[1:] = [_as_key(argument) for argument in sys.argv[1:]]
    run_app(report, "report")


def _as_key(argument: str) -> str:
    """Rename `sweep=<folders>` to the key `sweeps` and quote it: in train.py, `sweep` is a config group."""
    key, equals, value = argument.partition("=")
    return f"sweeps={quote(value)}" if key in ("sweep", "sweeps") and equals and value[:1] not in ("", "'") else argument


def report(config: DictConfig) -> object:
    """Rank the runs: print the rankings, and write summary.csv, summary.md and report.html.

    Returns:
        The rankings.

    Raises:
        UserError: a setting is wrong, or a folder is not a sweep.
    """
    if OmegaConf.is_missing(config, "sweeps"):
        raise UserError("sweep is not set: add sweep=<folder>; --help lists the keys.")
    check_choice("split", config.split, ("val", "test"))
    check_int("images", config.images, 0)
    if config.direction is not None:
        check_choice("direction", config.direction, ("max", "min"))
    folders = folders_of(config.sweeps)
    for folder in folders:
        load(folder)
    if config.folder is None and len(folders) > 1:
        raise UserError("folder is not set: a report on several sweeps needs folder=… for its page and tables.")
    from rich.console import Console

    from vae_lightning.reports.sweep.write_report import write_report

    into = output_folder("folder", config.folder)
    console = Console(highlight=False)
    return write_report(folders, console, into, config.metric, config.split, config.direction, config.images, config.data.root)


def folders_of(text: str) -> list[Path]:
    """Split one folder, or several separated by commas."""
    whole = None if "," in text and not os.path.lexists(os.path.expanduser(text)) else user_path("sweep", text)
    return [whole] if whole is not None else [user_path("sweep", part) for part in text.split(",")]


if __name__ == "__main__":
    main()
