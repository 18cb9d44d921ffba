"""A new run, from its composed configuration to its results: what `train.py` and `vl.train` do. Imports no torch at first."""

from __future__ import annotations

import os
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_lightning.api.own_code import find_own_modules
from vae_lightning.api.resumed_run import COMPILE_MODES, RUN_FOLDER, resume_run
from vae_lightning.config.builtin import PUBLISHED
from vae_lightning.config.command_line import run_name
from vae_lightning.config.data_paths import with_absolute_paths
from vae_lightning.config.fitting_likelihood import chosen_likelihood
from vae_lightning.config.fitting_sampler import chosen_sampler
from vae_lightning.config.instantiate import source_key
from vae_lightning.config.plain import plain_dict, plain_texts
from vae_lightning.errors import InvalidValue, UserError, check_choice, check_int, check_number, check_seed, format_value
from vae_lightning.files import user_path
from vae_lightning.sweeps.job import job_folder, label_of, restrict_foreign

if TYPE_CHECKING:
    from vae_lightning.api.given_arrays import GivenArrays
    from vae_lightning.runs.folder import Run

SHARED_NUMBERS = ("beta", "latent_dim")  # top-level keys that other keys refer to


def train_new(config: DictConfig, requeues: bool = True, arrays: GivenArrays | None = None) -> Run:
    """Train the run that `config` describes. `HydraConfig` has to hold the composition that it comes from.

    Args:
        config: the composed configuration.
        requeues: whether SLURM restarts this command after it was preempted, so that it continues the run.
        arrays: images that are not in files yet.

    Returns:
        The run. The folder of a `trainer.fast_dev_run` is gone.

    Raises:
        UserError: a setting is wrong.
        RunError: the machine or the training fails.
    """
    if config.resume is not None:
        raise UserError(f"resume={config.resume}: can only be given on the command line.")
    if not (in_sweep() and restrict_foreign(config, job_folder())):
        find_own_modules()
    check_numbers(config)
    refuse_unused_numbers(config, given_overrides())
    again = requeued(config) if requeues else None
    if again is not None:
        return resume_run(str(again), [], trust_run_code=True)
    with nullcontext() if arrays is None else arrays.stored(config):
        return _train_new(config, requeues, arrays)


def _train_new(config: DictConfig, requeues: bool, arrays: GivenArrays | None) -> Run:
    from vae_lightning.sweeps.resume import was_interrupted
    from vae_lightning.training.parts import build_parts

    # an interrupted job has its own configuration; a process started by DDP reports its errors through the main process
    elsewhere = RUN_FOLDER in os.environ or (in_sweep() and was_interrupted(job_folder()))
    parts = None if elsewhere else build_parts(config)
    from vae_lightning.runs.folder import trained_run
    from vae_lightning.sweeps.callbacks import sweep_job
    from vae_lightning.sweeps.resume import continue_run
    from vae_lightning.training.fit import fit  # imports Lightning
    from vae_lightning.training.processes.relaunched import further_process

    config = complete(config)
    with new_folder(config, noted=requeues) as (folder, owner), nullcontext() if owner else further_process(folder):
        if owner and was_interrupted(folder):
            return trained_run(folder, continue_run(folder))
        if arrays is not None and parts is not None:
            arrays.move(folder, config, parts.data)
        fit(config, folder, job=sweep_job(config, folder) if in_sweep() else None, parts=parts)
        return trained_run(folder, config)


@contextmanager
def new_folder(config: DictConfig, noted: bool = True) -> Iterator[tuple[Path, bool]]:
    """Create the folder of this run, and say whether this process did; at the end, remove it if nothing was trained in it.

    Args:
        config: the complete configuration.
        noted: whether a job of SLURM notes the folder, so that it continues the run when it is restarted.
    """
    from vae_lightning.runs.folder import remove_folder, remove_if_never_trained

    output_dir = user_path("output_dir", config.output_dir)
    found = output_dir.exists()
    folder, owner = run_folder(config, noted)
    try:
        yield folder, owner
    finally:
        if owner:
            os.environ.pop(RUN_FOLDER, None)
            (remove_folder if config.trainer.fast_dev_run else remove_if_never_trained)(folder)
            if not found:
                remove_if_empty(output_dir)


def requeued(config: DictConfig) -> Path | None:
    """Return the run folder of this job if SLURM has restarted it after it was preempted or reached its time limit."""
    from vae_lightning.training.processes.slurm import requeued_run

    if in_sweep() or RUN_FOLDER in os.environ:
        return None
    return requeued_run(user_path("output_dir", config.output_dir))


def check_numbers(config: DictConfig) -> None:
    """Check the top-level numbers and the learning rate, before anything is built or torch is imported (UserError)."""
    check_int("latent_dim", config.latent_dim)
    check_number("beta", config.beta, 0)
    check_seed("seed", config.seed)
    check_choice("compile", config.compile, COMPILE_MODES)
    for key in ("name", "output_dir"):
        if isinstance(config[key], int | float):
            kind = "true or false" if isinstance(config[key], bool) else "a number"
            text = format_value(config[key])
            raise UserError(f"{key}={text}: is read as {kind}, but must be text: quote it ({key}=\"'{text}'\").")
    if config.name is not None and (not _is_path(config.name) or _leaves_folder(config.name)):
        raise InvalidValue("name", config.name, "the name of a folder below output_dir")
    if not _is_path(config.output_dir):
        raise InvalidValue("output_dir", config.output_dir, "a folder")
    optimizer = OmegaConf.select(config, "optimizer")
    if isinstance(optimizer, DictConfig) and "lr" in optimizer:
        check_number(source_key(config, "optimizer", "lr"), optimizer.lr, 0)


def _is_path(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not any(unicodedata.category(c) == "Cc" for c in name)


def _leaves_folder(name: str) -> bool:
    return name.startswith(("/", "~")) or ".." in Path(name).parts


def refuse_unused_numbers(config: DictConfig, overrides: list[str]) -> None:
    """Refuse `beta=` or `latent_dim=` on the command line if nothing in the configuration refers to it (UserError)."""
    composed = OmegaConf.to_yaml(config, resolve=False)
    for key in SHARED_NUMBERS:
        given = next((o for o in overrides if o.lstrip("+").startswith(f"{key}=")), None)
        if given is not None and f"${{{key}}}" not in composed:
            raise UserError(f"{given} would have no effect: nothing in this composition uses {key}; leave it out.")


def run_folder(config: DictConfig, noted: bool = True) -> tuple[Path, bool]:
    """Return the folder of this run and whether this process created it.

    Processes started by DDP get the folder from the first one. Other tasks of SLURM or torchrun get a temporary folder, and write
    nothing to it.
    """
    from vae_lightning.runs.folder import create_folder, timestamp
    from vae_lightning.training.processes.slurm import note_job
    from vae_lightning.training.ranks import is_first_process

    if RUN_FOLDER in os.environ:
        return Path(os.environ[RUN_FOLDER]), False
    if config.trainer.fast_dev_run or not is_first_process():
        folder = Path(tempfile.mkdtemp(prefix="vae-lightning-"))
    elif in_sweep():
        folder = job_folder()
        folder.mkdir(parents=True, exist_ok=True)
    else:
        output_dir = user_path("output_dir", config.output_dir)
        folder = create_folder(output_dir / config.name, timestamp())
        if noted:
            note_job(output_dir, folder)
    os.environ[RUN_FOLDER] = str(folder)
    return folder, True


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing was kept."""
    with suppress(OSError):
        folder.rmdir()


def given_overrides() -> list[str]:
    """Return the overrides as typed, without those of `hydra`."""
    return plain_texts(HydraConfig.get().overrides.task)


def in_sweep() -> bool:
    """Whether this run is a job of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def complete(config: DictConfig) -> DictConfig:
    """Complete the configuration that a run saves: interpolations resolved, with the chosen options, overrides and time."""
    hydra = HydraConfig.get()
    whole = plain_dict(config)
    whole.pop(PUBLISHED, None)
    choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/")}
    choices["likelihood"] = chosen_likelihood(choices["likelihood"], whole["likelihood"])
    choices["sampler"] = chosen_sampler(choices["sampler"], whole["sampler"])
    if whole["init_from"] is not None:
        whole["init_from"] = str(user_path("init_from", whole["init_from"]))
    whole["data"] = with_absolute_paths(whole["data"])
    whole["name"] = run_name(config.name, choices["data"], choices["model"])
    if in_sweep():
        whole["label"] = label_of(job_folder())
    whole |= {
        "choices": choices,
        "overrides": [_in_force(text, whole) for text in given_overrides()],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return OmegaConf.create(whole)


def _in_force(override: str, whole: dict[str, Any]) -> str:
    """Return an override as typed, but with interpolations resolved, because a run's configuration must not contain any."""
    key = override.lstrip("+").partition("=")[0]
    return override if "${" not in override else f"{key}={format_value(OmegaConf.select(OmegaConf.create(whole), key))}"
