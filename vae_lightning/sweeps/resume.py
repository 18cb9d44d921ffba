"""Resumes a sweep, `python train.py resume_sweep=<folder>`, and its interrupted runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.config.compose import quote
from vae_lightning.errors import UserError, check_choice
from vae_lightning.runs.checkpoint_files import LAST, PREVIOUS, is_intact
from vae_lightning.runs.sweep_record import is_finished, is_sweep, load

KEY = "resume_sweep"


def resumed_arguments(arguments: Sequence[str]) -> list[str] | None:
    """Return the command line that resumes the sweep named by `resume_sweep=<folder>`; None if there is no such argument.

    The sweep of someone else may only use shipped options, unless `trust_run_code=true` is given too (see `foreign.py`).

    Raises:
        UserError: overrides are given other than those of `hydra`, which only affect how jobs are launched; or the sweep contains
            more than it may.
        RunError: its record is damaged.
    """
    path = next((a.partition("=")[2] for a in arguments if a.startswith(f"{KEY}=")), None)
    if path is None:
        return None
    trust = [a.partition("=")[2].lower() for a in arguments if a.startswith("trust_run_code=")]
    for value in trust:
        check_choice("trust_run_code", value, ("true", "false"))
    own = (f"{KEY}=", "trust_run_code=")
    others = [a for a in arguments if not a.startswith(own) and a not in ("-m", "--multirun")]
    for other in others:
        if not other.startswith(("hydra.", "hydra/", "+hydra.", "~hydra")):
            raise UserError(f"{other} cannot be combined with {KEY}: a sweep resumes as it was started; only hydra.… may change.")
    from vae_lightning.sweeps.foreign import check_foreign_sweep, check_sweep_folder

    sweep = load(path, KEY)
    if trust[-1:] == ["true"]:
        sweep.trust()
    check_sweep_folder(sweep.folder)
    check_foreign_sweep(sweep, KEY)
    if sweep.trusted and "\0" not in sweep.directory and Path(sweep.directory).is_dir():
        os.chdir(sweep.directory)  # for relative paths; a foreign sweep keeps the user's folder
    return ["--multirun", *sweep.arguments, *others, f"hydra.sweep.dir={quote(str(sweep.folder))}"]


def was_interrupted(folder: Path) -> bool:
    """Whether a run started in this folder and did not finish."""
    return (folder / "config.yaml").exists() and not is_finished(folder)


def continue_run(folder: Path) -> DictConfig:
    """Continue the interrupted run of `folder` in place and return its configuration.

    It resumes bit for bit from the last intact checkpoint; without a checkpoint it starts again with its own configuration.
    """
    from vae_lightning.runs.config_file import read_config
    from vae_lightning.runs.folder import empty_folder
    from vae_lightning.runs.trust import check_folder, restrict
    from vae_lightning.sweeps.callbacks import sweep_job
    from vae_lightning.training import resume
    from vae_lightning.training.fit import fit

    trusted = load(folder.parent).trusted if is_sweep(folder.parent) else True  # or a run that a preempted job continues
    check_folder(folder)
    checkpoint = next((path for name in (LAST, PREVIOUS) if is_intact(path := folder / "checkpoints" / name)), None)
    if checkpoint is not None:
        start = resume.find_resume_point(str(checkpoint), [], trust_run_code=trusted)
        fit(start.config, folder, start, sweep_job(start.config, folder))
        return start.config
    config = read_config(folder / "config.yaml", trusted=trusted)
    if not trusted:
        config, _ = restrict(config)
    empty_folder(folder)
    fit(config, folder, job=sweep_job(config, folder))
    return config
