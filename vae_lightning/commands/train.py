"""`python train.py model=conv beta=4`: trains a VAE in a run folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_lightning.cli import run_app, run_name
from vae_lightning.errors import InvalidValue, UserError, check_int, check_number
from vae_lightning.sweeps.job import job_folder, label_of

RUN_FOLDER = "VAE_LIGHTNING_RUN_FOLDER"  # tells the processes that DDP starts where their run is
KNOBS = ("beta", "latent_dim")


def main() -> None:
    from vae_lightning.sweeps import job
    from vae_lightning.sweeps.sweepers import register_all

    register_all()
    run_app(train, "train", job.run)


def train(config: DictConfig) -> float:
    """Trains what `config` describes; the best validation ELBO."""
    check_numbers(config)
    refuse_unused_knobs(config, list(HydraConfig.get().overrides.task))
    from vae_lightning.sweeps.resume import continue_run, was_interrupted
    from vae_lightning.training import fit  # torch and Lightning, from here on

    config = complete(config)
    folder, owner = run_folder(config)
    try:
        return continue_run(folder) if was_interrupted(folder) else fit(config, folder, in_sweep())
    finally:
        if owner:
            os.environ.pop(RUN_FOLDER, None)
            # nothing is left of what never began
            if config.trainer.fast_dev_run or not (folder / "metrics.csv").exists():
                shutil.rmtree(folder, ignore_errors=True)
                _remove_empty(folder.parent)


def check_numbers(config: DictConfig) -> None:
    """The top-level numbers, before anything is built."""
    check_int("latent_dim", config.latent_dim)
    check_number("beta", config.beta, 0)
    check_int("seed", config.seed, 0)
    if config.name is not None and (not isinstance(config.name, str) or not config.name or _leaves_folder(config.name)):
        raise InvalidValue("name", config.name, "the name of a folder below output_dir")
    if not isinstance(config.output_dir, str) or not config.output_dir:
        raise InvalidValue("output_dir", config.output_dir, "a folder")


def _leaves_folder(name: str) -> bool:
    return name.startswith(("/", "~")) or ".." in Path(name).parts


def refuse_unused_knobs(config: DictConfig, overrides: list[str]) -> None:
    """A number set on the command line that nothing in the composition refers to is refused, not ignored."""
    composed = OmegaConf.to_yaml(config, resolve=False)
    for knob in KNOBS:
        given = next((o for o in overrides if o.lstrip("+").startswith(f"{knob}=")), None)
        if given is not None and f"${{{knob}}}" not in composed:
            raise UserError(f"{given} would have no effect: nothing in this composition uses {knob}; leave it out.")


def run_folder(config: DictConfig) -> tuple[Path, bool]:
    """The folder of this run, and whether this process made it (those that DDP starts are told by the first)."""
    from vae_lightning.runs import create_folder, timestamp

    if RUN_FOLDER in os.environ:
        return Path(os.environ[RUN_FOLDER]), False
    if config.trainer.fast_dev_run:
        folder = Path(tempfile.mkdtemp(prefix="vae-lightning-"))
    elif in_sweep():
        folder = job_folder()
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = create_folder(Path(config.output_dir).expanduser().absolute() / config.name, timestamp())
    os.environ[RUN_FOLDER] = str(folder)
    return folder, True


def in_sweep() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def complete(config: DictConfig) -> DictConfig:
    """The configuration with every interpolation resolved, the options chosen and the overrides given: all a run is."""
    hydra = HydraConfig.get()
    whole: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/")}
    whole["name"] = run_name(config.name, choices["data"], choices["model"])
    if in_sweep():
        whole["label"] = label_of(job_folder())
    whole |= {
        "choices": choices,
        "overrides": list(hydra.overrides.task),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return OmegaConf.create(whole)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


if __name__ == "__main__":
    main()
