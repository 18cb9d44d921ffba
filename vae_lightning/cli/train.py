"""`python train.py model=conv beta=4`: train a VAE in a new run folder."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import unicodedata
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_lightning.cli.app import find_own_modules, is_quoted, run_app
from vae_lightning.cli.startup import allow_interrupts
from vae_lightning.config.build import with_absolute_paths
from vae_lightning.config.builtin import PUBLISHED
from vae_lightning.config.command_line import run_name
from vae_lightning.config.fitting_likelihood import chosen_likelihood
from vae_lightning.config.instantiate import check_node, instantiate_node, source_key
from vae_lightning.config.messages import with_messages
from vae_lightning.errors import InvalidValue, UserError, check_choice, check_int, check_number, check_seed, format_value
from vae_lightning.sweeps.job import job_folder, label_of, restrict_foreign
from vae_lightning.training.processes.lifetime import end_with_parent

RUN_FOLDER = "VAE_LIGHTNING_RUN_FOLDER"  # environment variable that tells the processes started by DDP their run folder
SHARED_NUMBERS = ("beta", "latent_dim")  # top-level keys that other keys refer to
COMPILE_MODES = ("none", "default", "reduce-overhead")


def main() -> None:
    """Train, resume (`resume=<run>`) or sweep (`-m`), as the command line says."""
    if RUN_FOLDER in os.environ:
        end_with_parent()  # the process that started the run
    if resumes(sys.argv[1:]):
        with_messages(lambda: resume(sys.argv[1:]))
        return
    from vae_lightning.sweeps import job
    from vae_lightning.sweeps.register import register_sweepers

    register_sweepers()
    run_app(train, "train", job.run)


def train(config: DictConfig) -> float:
    """Train the run that `config` describes.

    Returns:
        The best validation ELBO.

    Raises:
        UserError: if a setting is wrong.
        RunError: if the machine or the training fails.
    """
    if config.resume is not None:
        raise UserError(f"resume={config.resume}: can only be given on the command line.")
    if not (in_sweep() and restrict_foreign(config, job_folder())):
        find_own_modules()
    check_numbers(config)
    refuse_unused_numbers(config, given_overrides())
    again = requeued(config)
    if again is not None:
        return resume_run(str(again), [], trust_run_code=True) or float("nan")
    from vae_lightning.sweeps.resume import continue_run, was_interrupted
    from vae_lightning.training.parts import build_parts

    # an interrupted job continues with its own configuration; a process started by DDP reports its errors through the main one
    elsewhere = RUN_FOLDER in os.environ or (in_sweep() and was_interrupted(job_folder()))
    parts = None if elsewhere else build_parts(config)
    from vae_lightning.runs.folder import remove_folder, remove_if_never_trained
    from vae_lightning.sweeps.callbacks import sweep_job
    from vae_lightning.training.fit import fit  # imports Lightning
    from vae_lightning.training.processes.relaunched import further_process

    config = complete(config)
    output_dir = Path(config.output_dir).expanduser().absolute()
    found = output_dir.exists()
    folder, owner = run_folder(config)
    try:
        with nullcontext() if owner else further_process(folder):
            if owner and was_interrupted(folder):
                return continue_run(folder)
            return fit(config, folder, job=sweep_job(config, folder) if in_sweep() else None, parts=parts)
    finally:
        if owner:
            os.environ.pop(RUN_FOLDER, None)
            (remove_folder if config.trainer.fast_dev_run else remove_if_never_trained)(folder)
            if not found:
                remove_if_empty(output_dir)


def requeued(config: DictConfig) -> Path | None:
    """The run folder of this job, if SLURM has started it again after it was preempted or met its time limit."""
    from vae_lightning.training.processes.slurm import requeued_run

    if in_sweep() or RUN_FOLDER in os.environ:
        return None
    return requeued_run(Path(config.output_dir).expanduser().absolute())


def resumes(arguments: Sequence[str]) -> bool:
    """Whether the command line says `resume=<run>`."""
    return any(argument.startswith("resume=") and argument != "resume=null" for argument in arguments)


def resume(arguments: Sequence[str]) -> float | None:
    """`resume=<run> [overrides]`: continue a run in its folder, with its own configuration; None if it is finished."""
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


def resume_run(path: str, overrides: Sequence[str], trust_run_code: bool = False) -> float | None:
    """Continue the run at `path` with `overrides`; None if it is finished.

    Args:
        path: the run folder, or one of its checkpoints.
        overrides: what to change, as typed.
        trust_run_code: see `vae_lightning.runs.config_file.read_config`.
    """
    allow_interrupts()
    if trust_run_code:
        find_own_modules()
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
        return None
    from vae_lightning.files import write_text
    from vae_lightning.training.fit import fit
    from vae_lightning.training.processes.relaunched import further_process

    owner = RUN_FOLDER not in os.environ
    before = (start.folder / "config.yaml").read_text(encoding="utf-8")
    os.environ[RUN_FOLDER] = str(start.folder)
    try:
        with nullcontext() if owner else further_process(start.folder):
            return fit(start.config, start.folder, start)
    except UserError as error:
        if owner and error.status == 2:  # nothing was changed yet
            write_text(start.folder / "config.yaml", before)
        raise
    finally:
        if owner:
            os.environ.pop(RUN_FOLDER, None)


def check_changed(config: DictConfig) -> None:
    """Check the overrides of a finished run, of which nothing would be built otherwise."""
    from vae_lightning.training import silence_warnings as quiet  # noqa: F401
    from vae_lightning.training.build import build_callbacks

    instantiate_node(config, "data")
    build_callbacks(config)


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
            raise UserError(f"{key}={text}: is read as {kind}, and must be text: quote it ({key}=\"'{text}'\").")
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


def run_folder(config: DictConfig) -> tuple[Path, bool]:
    """The folder of this run, and whether this process created it.

    Processes started by DDP get the folder from the first one. Other tasks of SLURM or torchrun write nothing, into a temporary
    folder.
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
        output_dir = Path(config.output_dir).expanduser().absolute()
        folder = create_folder(output_dir / config.name, timestamp())
        note_job(output_dir, folder)
    os.environ[RUN_FOLDER] = str(folder)
    return folder, True


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing was kept."""
    with suppress(OSError):
        folder.rmdir()


def given_overrides() -> list[str]:
    """The overrides as typed, without those of `hydra`."""
    return OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # type: ignore[return-value]


def in_sweep() -> bool:
    """Whether this run is a job of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def complete(config: DictConfig) -> DictConfig:
    """The configuration that a run keeps: interpolations resolved, with the chosen options, the overrides and the time."""
    hydra = HydraConfig.get()
    whole: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    whole.pop(PUBLISHED, None)
    whole["data"] = with_absolute_paths(whole["data"])
    choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/")}
    choices["likelihood"] = chosen_likelihood(choices["likelihood"], whole["likelihood"])
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
    """An override as typed, but with interpolations resolved, because a run's configuration must not contain any."""
    key = override.lstrip("+").partition("=")[0]
    return override if "${" not in override else f"{key}={format_value(OmegaConf.select(OmegaConf.create(whole), key))}"


if __name__ == "__main__":
    main()
