"""Resumes a sweep, `python train.py resume_sweep=<folder>`, and its interrupted runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.config.compose import quote
from vae_lightning.errors import UserError
from vae_lightning.files import training_finished
from vae_lightning.runs.checkpoint_files import LAST, PREVIOUS, is_intact
from vae_lightning.runs.sweep_record import load

KEY = "resume_sweep"


def resumed_arguments(arguments: Sequence[str]) -> list[str] | None:
    """The command line that resumes the sweep named by `resume_sweep=<folder>`; None if there is no such argument.

    Raises:
        UserError: when other overrides than those of `hydra`, which say how the jobs are launched, are given.
    """
    path = next((a.partition("=")[2] for a in arguments if a.startswith(f"{KEY}=")), None)
    if path is None:
        return None
    others = [a for a in arguments if not a.startswith(f"{KEY}=") and a not in ("-m", "--multirun")]
    for other in others:
        if not other.startswith(("hydra.", "hydra/", "+hydra.", "~hydra")):
            raise UserError(f"{other} cannot be combined with {KEY}: a sweep resumes as it was started; only hydra.… may change.")
    sweep = load(path, KEY)
    if Path(sweep.directory).is_dir():
        os.chdir(sweep.directory)  # its arguments may have relative paths
    return ["--multirun", *sweep.arguments, *others, f"hydra.sweep.dir={quote(str(sweep.folder))}"]


def was_interrupted(folder: Path) -> bool:
    """Whether a run started in this folder and did not finish."""
    return (folder / "config.yaml").exists() and not training_finished(folder)


def continue_run(folder: Path) -> float:
    """Continues the interrupted run of `folder` in place and returns its best validation metric (see `finish.score`).

    It resumes bit for bit from the last intact checkpoint; without a checkpoint it starts again with its own configuration.
    """
    from vae_lightning.runs.config_file import read_config
    from vae_lightning.runs.folder import empty_folder
    from vae_lightning.sweeps.callbacks import sweep_job
    from vae_lightning.training import resume
    from vae_lightning.training.fit import fit

    checkpoint = next((path for name in (LAST, PREVIOUS) if is_intact(path := folder / "checkpoints" / name)), None)
    if checkpoint is not None:
        start = resume.find_resume_point(str(checkpoint), [], trust_run_code=True)  # this user started the sweep
        return fit(start.config, folder, start, sweep_job(start.config, folder))
    config = read_config(folder / "config.yaml", trusted=True)
    empty_folder(folder)
    return fit(config, folder, job=sweep_job(config, folder))
