"""`python train.py model=conv beta=4`: trains a VAE in a run folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import unicodedata
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_lightning.build import check_values
from vae_lightning.cli import find_own_modules, run_app
from vae_lightning.command_line import run_name
from vae_lightning.errors import InvalidValue, UserError, check_int, check_number, shown

RUN_FOLDER = "VAE_LIGHTNING_RUN_FOLDER"  # tells the processes that DDP starts where their run is
KNOBS = ("beta", "latent_dim")


def main() -> None:
    run_app(train, "train")


def train(config: DictConfig) -> float:
    """Trains what `config` describes; the best validation ELBO."""
    find_own_modules()
    check_numbers(config)
    refuse_unused_knobs(config, given_overrides())
    check_values(config)
    from vae_lightning.training import fit  # torch and Lightning, from here on

    config = complete(config)
    folder, owner = run_folder(config)
    try:
        return fit(config, folder, in_sweep())
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
    if config.name is not None and (not _is_path(config.name) or _leaves_folder(config.name)):
        raise InvalidValue("name", config.name, "the name of a folder below output_dir")
    if not _is_path(config.output_dir):
        raise InvalidValue("output_dir", config.output_dir, "a folder")


def _is_path(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and not any(unicodedata.category(c) == "Cc" for c in name)


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
        hydra = HydraConfig.get()
        folder = create_folder(Path(hydra.sweep.dir).absolute(), f"{hydra.job.num:03d}")
    else:
        folder = create_folder(Path(config.output_dir).expanduser().absolute() / config.name, timestamp())
    os.environ[RUN_FOLDER] = str(folder)
    return folder, True


def given_overrides() -> list[str]:
    """The overrides as they were typed."""
    return OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # type: ignore[return-value]


def in_sweep() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def complete(config: DictConfig) -> DictConfig:
    """The configuration with every interpolation resolved, the options chosen and the overrides given: all a run is."""
    hydra = HydraConfig.get()
    whole: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/")}
    whole["name"] = run_name(config.name, choices["data"], choices["model"])
    whole |= {
        "choices": choices,
        "overrides": [_in_force(text, whole) for text in given_overrides()],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return OmegaConf.create(whole)


def _in_force(override: str, whole: dict[str, Any]) -> str:
    """An override as it was typed; with its value where it held an interpolation, of which a run's configuration holds none."""
    key = override.lstrip("+").partition("=")[0]
    return override if "${" not in override else f"{key}={shown(OmegaConf.select(OmegaConf.create(whole), key))}"


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


if __name__ == "__main__":
    main()
