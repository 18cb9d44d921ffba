"""What every command starts with: Hydra composes, `task` runs, and what goes wrong ends as one sentence and an exit status.

Imports no torch: it must be quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import main
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vae_lightning.cli.startup import allow_interrupts
from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.command_line import check_command_line, force_swept_keys
from vae_lightning.config.compose import VERSION_BASE, quote
from vae_lightning.config.messages import with_messages
from vae_lightning.errors import check_bool
from vae_lightning.sweeps.resume import resumed_arguments

QUOTES = "'\""
PATH_KEYS = ("run", "runs", "page", "resume", "resume_sweep")  # their values are paths, taken as typed


def run_app(task: Callable[[DictConfig], Any], config_name: str, job: Callable[..., Any] | None = None) -> None:
    """Checks the command line, then lets Hydra run `task` on what it composes. Exits as `with_messages` says.

    job: called as `job(task, config)` for each job of a sweep, where the command has a way of its own to run these.
    """

    def checked_task(config: DictConfig) -> None:
        allow_interrupts()
        if job is not None and HydraConfig.get().mode == RunMode.MULTIRUN:
            job(task, config)
        else:
            with_messages(lambda: task(config))

    def prepare() -> Path | None:
        sys.argv[1:] = quote_paths(as_multirun(sys.argv[1:]) if job is not None else sys.argv[1:])
        folder = check_command_line(sys.argv[1:], config_name)
        sys.argv[1:] = force_swept_keys(sys.argv[1:], config_name)
        return folder

    sweep = with_messages(prepare)
    if "-m" in sys.argv or "--multirun" in sys.argv:  # Hydra makes the folder of a sweep before its first job
        allow_interrupts()
    if sweep is not None:
        sys.argv.append(f"hydra.sweep.dir={quote(str(sweep))}")
    try:
        main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=config_name)(checked_task)()
        sys.stdout.flush()
    except BrokenPipeError:  # of `… --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    finally:
        if sweep is not None:
            remove_unused_sweep(sweep)


def remove_unused_sweep(folder: Path) -> None:
    """Removes sweeps/<name>/<time>_<id>, which Hydra makes and writes to before the first job, where no job came to be."""
    if [path.name for path in folder.glob("*")] == ["multirun.yaml"]:
        (folder / "multirun.yaml").unlink()
    for empty in (folder, *folder.parents)[:3]:
        try:
            empty.rmdir()
        except OSError:
            return


def as_multirun(arguments: Sequence[str]) -> list[str]:
    """`sweep=<option>` is a sweep without -m, and so is `resume_sweep=<folder>`, which brings its own command line."""
    resumed = resumed_arguments(arguments)
    if resumed is not None:
        return resumed
    modes = ("-m", "--multirun", "-r", "--run", "-c", "--cfg", "-i", "--info", "-h", "--help")
    chosen = any(a.startswith("sweep=") and a not in ("sweep=null", "sweep=") for a in arguments)
    return ["--multirun", *arguments] if chosen and not any(a.split("=")[0] in modes for a in arguments) else list(arguments)


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """`run=outputs/beta=4` as Hydra can parse it: paths are quoted, each of a comma-separated list under --multirun."""
    several = "-m" in arguments or "--multirun" in arguments

    def with_quotes(argument: str) -> str:
        key, equals, value = argument.partition("=")
        if key not in PATH_KEYS or not equals or value in ("", "null") or is_quoted(value) or (several and value[0] in QUOTES):
            return argument
        parts = value.split(",") if several else [value]
        return f"{key}=" + ",".join(quote(part) for part in parts)

    return [with_quotes(argument) for argument in arguments]


def is_quoted(text: str) -> bool:
    """Whether quotes are around it, rather than a part of it: `'a b'`, not `'90s/runs`."""
    return len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES


def find_own_modules() -> None:
    """A `_target_` may name a module that lies where the command is typed.

    Only for a configuration that is trusted: libraries try to import many things, and any of them could lie there.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def trusts_run_code(config: DictConfig) -> bool:
    """Whether the run's code is trusted; it is then also found where the command is typed."""
    trusted = check_bool("trust_run_code", config.trust_run_code)
    if trusted:
        find_own_modules()
    return trusted
