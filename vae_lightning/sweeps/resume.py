"""Going on with a sweep: `python train.py resume_sweep=<folder>`, and with a run of it that was interrupted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.checkpoint_files import LAST, PREVIOUS, is_whole
from vae_lightning.composing import quoted
from vae_lightning.errors import UserError
from vae_lightning.files import has_ended
from vae_lightning.sweeps import record

KEY = "resume_sweep"


def arguments_of(arguments: Sequence[str]) -> list[str] | None:
    """The command line that goes on with the sweep that `resume_sweep=<folder>` names; None where none is named.

    Beside it, only how the jobs are launched may be given anew: overrides of `hydra`.
    """
    path = next((a.partition("=")[2] for a in arguments if a.startswith(f"{KEY}=")), None)
    if path is None:
        return None
    others = [a for a in arguments if not a.startswith(f"{KEY}=") and a not in ("-m", "--multirun")]
    for other in others:
        if not other.startswith(("hydra.", "hydra/", "+hydra.", "~hydra")):
            raise UserError(f"{other} beside {KEY}: the sweep goes on as it was begun; only hydra.… may be set anew.")
    sweep = record.load(path, KEY)
    if Path(sweep.directory).is_dir():
        os.chdir(sweep.directory)  # what it was told in relative paths
    return ["--multirun", *sweep.arguments, *others, f"hydra.sweep.dir={quoted(str(sweep.folder))}"]


def was_interrupted(folder: Path) -> bool:
    """Whether a run began in this folder and did not end."""
    return (folder / "config.yaml").exists() and not has_ended(folder)


def continue_run(folder: Path) -> float:
    """Goes on with the interrupted run of `folder`, in its place; the best validation figure (see `training.closing.score`).

    From its last whole checkpoint, exactly as if it had never stopped; anew, by its own configuration, where it has none yet.
    """
    from vae_lightning import resume
    from vae_lightning.run_config import read_config
    from vae_lightning.runs import empty_folder
    from vae_lightning.training.run import fit

    checkpoint = next((path for name in (LAST, PREVIOUS) if is_whole(path := folder / "checkpoints" / name)), None)
    if checkpoint is not None:
        start = resume.find(str(checkpoint), [], trust_run_code=True)  # the sweep is one's own
        return fit(start.config, folder, True, start)
    config = read_config(folder / "config.yaml", trusted=True)
    empty_folder(folder)
    return fit(config, folder, True)
