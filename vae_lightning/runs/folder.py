"""A run is a folder, described by `config.yaml`, that can be loaded as a VAE. Loading never runs code from a checkpoint."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig

from vae_lightning.config.build import build_vae
from vae_lightning.config.plain import plain_dict
from vae_lightning.data.base import DataSpec
from vae_lightning.errors import InvalidValue, RunError, UserError, check_bool, check_choice, format_value
from vae_lightning.files import find_below, user_path
from vae_lightning.models.input_checks import RECONSTRUCTED, ROUNDING
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise
from vae_lightning.readers import read_json_with_nan
from vae_lightning.runs.checkpoint_schema import check_finite, check_tensors
from vae_lightning.runs.config_file import is_own_run, read_config
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION as SCHEMA_VERSION
from vae_lightning.runs.read_tensors import read_tensors
from vae_lightning.runs.schemas import check_results
from vae_lightning.runs.trust import check_folder

if TYPE_CHECKING:
    from PIL import Image

CHECKPOINTS = ("best", "last")


def create_folder(parent: Path, prefix: str) -> Path:
    """Create a new folder `parent/<prefix>_<id>`, atomically, so that no two runs get the same one.

    Raises:
        RunError: it cannot be created.
    """
    for _ in range(100):
        folder = parent / f"{prefix}_{secrets.token_hex(2)}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(
                f"The run folder {folder} cannot be created ({error.strerror}): set output_dir to a folder you can write to."
            ) from error
    raise RunError(f"No free name was found for a run folder in {parent}.")


def empty_folder(folder: Path) -> None:
    """Delete what is in the folder, but not the folder itself."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_if_never_trained(folder: Path) -> None:
    """Remove the folder of a run that wrote neither metrics nor checkpoints, and its parent if that is then empty."""
    if not any(os.path.exists(folder / name) for name in ("metrics.csv", "checkpoints")):
        remove_folder(folder)  # does nothing if the folder has become inaccessible


def remove_folder(folder: Path) -> None:
    """Remove the folder, and its parent if that is then empty."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return


def timestamp() -> str:
    """Return the local time, as in the names of run folders."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


@dataclass(frozen=True, repr=False)
class Run:
    """A run, as `vl.train` returns it and `find_run` finds it. A notebook shows its results and pictures.

    Args:
        folder: the run folder.
        config: its complete configuration.
        checkpoint: the checkpoint file to use.
        own: whether the configuration bears the user's signature, see `runs.signature`.
    """

    folder: Path
    config: DictConfig
    checkpoint: Path
    own: bool = False

    @cached_property
    def vae(self) -> VAE:
        """The trained VAE, loaded when first asked for: on the CPU, in evaluation mode and without gradients.

        Raises:
            UserError: there is no checkpoint.
            RunError: the checkpoint is damaged or does not match the configuration.
        """
        if not self.checkpoint.is_file():
            raise UserError(f"{self.folder} has no checkpoint to load the VAE from: none was written, or it was removed.")
        from vae_lightning.runs.samplers import load_with_sampler

        return load_with_sampler(self)

    def figure(self, name: str, **settings: Any) -> Image.Image:
        """Return a picture of the run.

        Args:
            name: the name of a file in `figures/`, such as `samples` or `reconstructions`; or a picture of generate.py, such as
                `interpolations`, which is then drawn.
            settings: the settings of this picture in generate.py, such as `rows=2`; with any of them, the picture is drawn anew.

        Raises:
            UserError: there is no such picture, the run cannot have it, or a setting is wrong.
            RunError: a file of the run is damaged.
        """
        from vae_lightning.runs.show import figure

        return figure(self, name, settings)

    def __repr__(self) -> str:
        from vae_lightning.runs.show import in_one_line

        return in_one_line(self)

    def _repr_html_(self) -> str:
        from vae_lightning.runs.show import as_html

        return as_html(self)

    @property
    def data_spec(self) -> DataSpec:
        """What the model needs to know about the data that the run was trained on."""
        return DataSpec.from_dict(plain_dict(self.config.data_spec, resolve=False))

    @property
    def results(self) -> dict[str, Any]:
        """Return the content of `results.json`; empty if there is none. Raise RunError if it is damaged."""
        path = self.inside("results.json")
        try:
            results = read_json_with_nan(path)
            check_results(path, results)
        except FileNotFoundError:
            return {}
        except RunError as error:
            raise RunError(f"{error} Move it away; a new one will be written.") from error
        for name, value in results.items():
            if name.startswith(("train_", "val_", "test_")) and not isinstance(value, dict):
                raise RunError(f"{path} is damaged and cannot be read: {name} is not a mapping; move it away.")
        return results

    def inside(self, name: str) -> Path:
        """Return the path `name` in the run folder, for writing. Raise UserError if it is a link to outside the run folder."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(f"{path} is a link to outside the run folder, {path.resolve()}: remove the link to write there.")
        return path


def trained_run(folder: Path, config: DictConfig) -> Run:
    """Return the run that this process trained in a folder, with best.ckpt, else last.ckpt, else one that does not exist."""
    files = [folder / "checkpoints" / f"{name}.ckpt" for name in CHECKPOINTS]
    own = (folder / "config.yaml").is_file() and is_own_run(folder)
    return Run(folder, config, next((file for file in files if file.is_file()), files[0]), own)


def find_run(path: str | Path, checkpoint: str = "best", trust_run_code: bool = False) -> Run:
    """Find the run at `path`.

    Args:
        path: the run folder, anything in it, or a checkpoint file.
        checkpoint: `best` or `last`.
        trust_run_code: see `read_config`.

    Raises:
        UserError: there is no run, or it has no such checkpoint.
        RunError: its configuration is damaged.
    """
    check_bool("trust_run_code", trust_run_code)
    check_choice("checkpoint", checkpoint, CHECKPOINTS)
    folder = folder_of(path)
    start = user_path("run", path)
    file = start if start.suffix == ".ckpt" else folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not file.is_file():
        others = [name for name in CHECKPOINTS if (file.parent / f"{name}.ckpt").is_file()]
        remedy = f"use checkpoint={others[0]}" if others and file.stem in CHECKPOINTS else "its training did not get that far"
        raise UserError(f"run={path} has no checkpoint {file.name} in {file.parent}: {remedy}.")
    check_folder(folder)
    return Run(folder, read_config(folder / "config.yaml", trusted=trust_run_code), file, is_own_run(folder))


def folder_of(path: str | Path, key: str = "run") -> Path:
    """Return the run folder at `path` or above it. Raise UserError, naming the argument `key`, if there is none."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise InvalidValue(key, path, "the path of a run folder or of a checkpoint in it")
    start = user_path(key, path)
    if not start.exists():
        raise UserError(f"{key}={format_value(path)}: no such file or folder.")
    folder = next((f for f in (start, *start.parents) if f.is_dir() and (f / "config.yaml").is_file()), None)
    if folder is None:
        if (start / "config.yaml").exists():
            raise UserError(f"{start / 'config.yaml'} is not a file, as the configuration of a run must be.")
        raise UserError(f"{key}={path} is not a run folder: it has no config.yaml.{_runs_below(start)}")
    return folder


def load(path: str | Path, checkpoint: str = "best", trust_run_code: bool = False) -> VAE:
    """Load the trained VAE of a run and its sampler, on the CPU, in evaluation mode and without gradients.

    Args:
        path: the run folder, or a checkpoint in it.
        checkpoint: `best` or `last`.
        trust_run_code: whether the run's configuration may name code outside this package.

    Raises:
        UserError: there is no run, or it names other code and is not trusted.
        RunError: the checkpoint is damaged or does not match the configuration.

    Example:
        >>> vae = load("outputs/mnist5k-mlp/2026-01-01_12-00-00_abcd")
        >>> vae.sample(16)
    """
    from vae_lightning.runs.samplers import load_with_sampler

    return load_with_sampler(find_run(path, checkpoint, trust_run_code))


def load_vae(run: Run) -> VAE:
    """Load the VAE of a run, whose `sample` draws from the prior; see `load`."""
    vae = build_vae(run.config, run.data_spec)
    weights = {
        k.removeprefix("vae."): v for k, v in read_checkpoint(run.checkpoint)["state_dict"].items() if k.startswith("vae.")
    }
    check_tensors(run.checkpoint, weights, vae.state_dict())
    check_finite(run.checkpoint, weights)
    vae.load_state_dict(weights)
    vae = vae.eval().requires_grad_(False)
    vae.checks_input = False
    if not gives_numbers(vae):
        raise RunError(f"{run.checkpoint} has weights that give NaN or infinity: try the other checkpoint.")
    vae.checks_input = True  # from now on it is given what the caller has
    if vae.standardisation is None:
        vae.slack = RECONSTRUCTED if vae.likelihood.unbounded else ROUNDING
    return vae


def gives_numbers(vae: VAE) -> bool:
    """Whether samples, and the codes of the images they are decoded to, are finite."""
    condition = torch.zeros(2, dtype=torch.long) if vae.condition.classes else None
    noise = StreamNoise(torch.Generator(), 0)
    with torch.no_grad():
        images = vae.sample(2, noise, condition)
        return bool(torch.isfinite(images).all()) and bool(torch.isfinite(vae.encode(images, condition).mean).all())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; it may hold only tensors and plain data, so that a downloaded one cannot run code.

    Raises:
        RunError: it is damaged, or holds anything else.
    """
    content = read_tensors(path)
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in weights.items()):
        raise RunError(f"{path} is not a checkpoint of this framework.")
    return content


def _runs_below(start: Path) -> str:
    below = find_below(start, "config.yaml") if start.is_dir() else []
    return f" The latest run below it is {below[-1].parent}." if below else ""
