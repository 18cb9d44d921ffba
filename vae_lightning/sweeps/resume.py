"""Going on with a sweep: `python train.py resume_sweep=<folder>`, and with a run of it that was interrupted."""

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
    sweep = load(path, KEY)
    if Path(sweep.directory).is_dir():
        os.chdir(sweep.directory)  # what it was told in relative paths
    return ["--multirun", *sweep.arguments, *others, f"hydra.sweep.dir={quote(str(sweep.folder))}"]


def was_interrupted(folder: Path) -> bool:
    """Whether a run began in this folder and did not end."""
    return (folder / "config.yaml").exists() and not training_finished(folder)


def continue_run(folder: Path) -> float:
    """Goes on with the interrupted run of `folder`, in its place; the best validation figure (see `training.finish.score`).

    From its last whole checkpoint, exactly as if it had never stopped; anew, by its own configuration, where it has none yet.
    """
    from vae_lightning.runs.config_file import read_config
    from vae_lightning.runs.folder import empty_folder
    from vae_lightning.sweeps.callbacks import sweep_job
    from vae_lightning.training import resume
    from vae_lightning.training.fit import fit

    checkpoint = next((path for name in (LAST, PREVIOUS) if is_intact(path := folder / "checkpoints" / name)), None)
    if checkpoint is not None:
        start = resume.find_resume_point(str(checkpoint), [], trust_run_code=True)  # the sweep is one's own
        return fit(start.config, folder, start, sweep_job(start.config, folder))
    config = read_config(folder / "config.yaml", trusted=True)
    empty_folder(folder)
    return fit(config, folder, job=sweep_job(config, folder))
