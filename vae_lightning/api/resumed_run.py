"""`resume=<run>`: continuing a run in its folder, for both `train.py` and `vl.train`. Imports no torch at first."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vae_lightning.api.arguments import is_quoted
from vae_lightning.api.own_code import find_own_modules
from vae_lightning.config.instantiate import check_node, instantiate_node
from vae_lightning.errors import UserError, check_choice

if TYPE_CHECKING:
    from vae_lightning.runs.folder import Run

RUN_FOLDER = "VAE_LIGHTNING_RUN_FOLDER"  # environment variable that tells the processes started by DDP their run folder
COMPILE_MODES = ("none", "default", "reduce-overhead")


def resumes(arguments: Sequence[str]) -> bool:
    """Whether the command line says `resume=<run>`."""
    return any(argument.startswith("resume=") and argument != "resume=null" for argument in arguments)


def resume(arguments: Sequence[str]) -> Run:
    """Continue a run in its folder with its own configuration (`resume=<run> [overrides]`); only return a finished one."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    if flags:
        raise UserError(f"{flags[0]}: resume= takes overrides only; leave this flag out.")
    paths = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    if len(paths) > 1:
        raise UserError("resume= is given more than once: a command resumes one run.")
    trust = [argument.partition("=")[2].lower() for argument in arguments if argument.startswith("trust_run_code=")]
    for value in trust:
        check_choice("trust_run_code", value, ("true", "false"))
    own = ("resume=", "hydra.", "trust_run_code=")
    path = paths[0][1:-1] if is_quoted(paths[0]) else paths[0]
    return resume_run(path, [a for a in arguments if not a.startswith(own)], trust[-1:] == ["true"])


def resume_run(path: str, overrides: Sequence[str], trust_run_code: bool = False) -> Run:
    """Continue the run at `path` with `overrides`; if it is finished, say so and return it.

    Args:
        path: the run folder, or one of its checkpoints.
        overrides: what to change, as typed.
        trust_run_code: see `vae_lightning.runs.config_file.read_config`.
    """
    if trust_run_code:
        find_own_modules()
    from vae_lightning.runs.folder import trained_run
    from vae_lightning.training import resume as resuming  # imports torch

    start = resuming.find_resume_point(path, overrides, trust_run_code)
    if overrides:
        check_choice("compile", start.config.compile, COMPILE_MODES)
        check_node(start.config, "trainer")
    finished = resuming.already_finished(start)
    if finished is not None:
        if overrides:
            check_changed(start.config)
        sys.stdout.write(f"{finished}\n")
        return trained_run(start.folder, start.config)
    from vae_lightning.files import write_text
    from vae_lightning.training.fit import fit
    from vae_lightning.training.processes.relaunched import further_process

    owner = RUN_FOLDER not in os.environ
    before = (start.folder / "config.yaml").read_text(encoding="utf-8")
    os.environ[RUN_FOLDER] = str(start.folder)
    try:
        with nullcontext() if owner else further_process(start.folder):
            fit(start.config, start.folder, start)
        return trained_run(start.folder, start.config)
    except UserError as error:
        if owner and error.status == 2:  # nothing was changed yet
            write_text(start.folder / "config.yaml", before)
        raise
    finally:
        if owner:
            os.environ.pop(RUN_FOLDER, None)


def check_changed(config: DictConfig) -> None:
    """Check the overrides of a finished run, whose parts would otherwise not be built."""
    from vae_lightning.training import silence_warnings  # noqa: F401  importing it silences them
    from vae_lightning.training.build import build_callbacks

    instantiate_node(config, "data")
    build_callbacks(config)
