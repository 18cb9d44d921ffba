"""What every command starts with: check and compose the command line, run the task, turn errors into one sentence.

Imports no torch, to be quick.
"""

from __future__ import annotations

import io
import logging.config
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from hydra import main
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vae_lightning.api.arguments import as_multirun, quote_paths
from vae_lightning.cli.help import help_text
from vae_lightning.cli.startup import allow_interrupts, output
from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.command_line import CommandLine, check_command_line
from vae_lightning.config.compose import VERSION_BASE, quote, without_hydra
from vae_lightning.config.messages import with_messages
from vae_lightning.config.plain import plain_dict
from vae_lightning.config.private_apis import as_hydra_config
from vae_lightning.errors import RunError

SWITCHES = ("-m", "--multirun", "-r", "--run", "-h", "--help", "--hydra-help", "--version", "--resolve")
Task = Callable[[DictConfig], object]


def run_app(task: Task, config_name: str, job: Callable[[Task, DictConfig], object] | None = None) -> None:
    """Run `task` with the configuration that the command line composes. Errors end it as in `with_messages`.

    Args:
        task: the command, called with the configuration.
        config_name: its file in conf/.
        job: called as `job(task, config)` for each job of a sweep, if the command can be swept.
    """

    def prepare() -> CommandLine:
        check_current_folder()
        typed = flags_first(sys.argv[1:])
        arguments = as_multirun(typed) if job is not None else typed
        sys.argv[1:] = quote_paths(arguments)
        described = help_text(sys.argv[1:], config_name)
        if described is not None:
            sys.stdout.write(described)
            sys.stdout.flush()
            sys.exit(0)
        return check_command_line(sys.argv[1:], config_name)

    with output():
        command = with_messages(prepare)
        if command.config is not None:
            run_composed(task, command.config)
        else:
            run_by_hydra(task, command, config_name, job)


def check_current_folder() -> None:
    """RunError where the current folder was removed."""
    try:
        os.getcwd()
    except OSError as error:
        raise RunError("The current folder is not there any more: change to another one (cd), and try again.") from error


def run_composed(task: Task, composed: DictConfig) -> None:
    """Run `task` with a composed configuration, as Hydra's main would: `HydraConfig` holds its node `hydra` while it runs."""
    config = without_hydra(composed)
    with as_hydra_config(composed):
        logging.config.dictConfig(plain_dict(composed.hydra.job_logging))
        allow_interrupts()
        with_messages(lambda: task(config))


def run_by_hydra(task: Task, command: CommandLine, config_name: str, job: Callable[[Task, DictConfig], object] | None) -> None:
    """Let Hydra's own main run a sweep, or print its help or a configuration."""

    def checked_task(config: DictConfig) -> None:
        allow_interrupts()
        if job is not None and HydraConfig.get().mode == RunMode.MULTIRUN:
            job(task, config)
        else:
            with_messages(lambda: task(config))

    sys.argv[1:] = command.arguments
    hydra_main = main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=config_name)(checked_task)
    if command.only_prints:
        print_by(hydra_main)
        return
    if "-m" in sys.argv or "--multirun" in sys.argv:  # Hydra makes the folder of a sweep before its first job
        allow_interrupts()
        if job is None:
            several_times(hydra_main)
            return
    sweep = command.sweep_folder
    made = [] if sweep is None else [path for path in (sweep, *sweep.parents) if not path.exists()]
    if sweep is not None:
        sys.argv.append(f"hydra.sweep.dir={quote(str(sweep))}")
    try:
        if sweep is not None:
            with_messages(lambda: make_folder(sweep))
        hydra_main()
    finally:
        if sweep is not None:
            remove_unused_sweep(sweep, made)


def several_times(hydra_main: Callable[[], object]) -> None:
    """Let Hydra run a command other than `train` with each of several values; what it notes of such a sweep is not kept."""
    with TemporaryDirectory() as folder:
        sys.argv.append(f"hydra.sweep.dir={quote(folder)}")
        hydra_main()


def print_by(action: Callable[[], object]) -> None:
    """Print what `action` prints, at once at its end: Hydra would explain an output that is full in a traceback of its own."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            action()
    finally:
        sys.stdout.write(printed.getvalue())
        sys.stdout.flush()  # here, since Hydra may have ended the process already


def make_folder(folder: Path) -> None:
    """Make the folder of a sweep, as Hydra would. RunError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"The sweep's folder {folder} cannot be created ({error.strerror}): set output_dir to a folder you can write to."
        ) from error


def remove_unused_sweep(folder: Path, made: Sequence[Path]) -> None:
    """Remove the folder of a sweep if no job was created in it; Hydra writes to it before the first job.

    Args:
        folder: of the sweep.
        made: this folder and those of its parents that did not exist before, from the inside out.
    """
    if [path.name for path in folder.glob("*")] == ["multirun.yaml"]:
        (folder / "multirun.yaml").unlink()
    for empty in made:
        try:
            empty.rmdir()
        except OSError:
            return


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the flags without a value before everything else: argparse takes overrides on one side of a flag only."""
    return sorted(arguments, key=lambda argument: argument not in SWITCHES)
