"""A run is a folder: made once, described by `config.yaml`, and read back as a VAE. Reading runs no code of a checkpoint."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.build import build_vae
from vae_lightning.data.base import DataSpec
from vae_lightning.errors import InvalidValue, RunError, UserError, check_bool, check_choice, format_value
from vae_lightning.models.vae import VAE
from vae_lightning.runs.checkpoint_files import is_intact
from vae_lightning.runs.config_file import read_config
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION as SCHEMA_VERSION

CHECKPOINTS = ("best", "last")


def create_folder(parent: Path, prefix: str) -> Path:
    """A new folder `parent/<prefix>_<id>` that no other run has: made, not merely named, in one step."""
    for _ in range(100):
        folder = parent / f"{prefix}_{secrets.token_hex(2)}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(
                f"The run folder {folder} cannot be made ({error.strerror}): set output_dir to one that can."
            ) from error
    raise RunError(f"No free name was found for a run folder in {parent}.")


def empty_folder(folder: Path) -> None:
    """The folder itself stays: it is the place of the run."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_if_never_trained(folder: Path) -> None:
    """Removes the folder of a run that wrote neither figures nor checkpoints, and the one around it if nothing else is there."""
    if not any(os.path.exists(folder / name) for name in ("metrics.csv", "checkpoints")):
        remove_folder(folder)  # which leaves one that can no longer be entered as it is


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return


def timestamp() -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S")


@dataclass(frozen=True)
class Run:
    """A run folder, its configuration, and the checkpoint that was asked for."""

    folder: Path
    config: DictConfig
    checkpoint: Path

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec.from_dict(OmegaConf.to_container(self.config.data_spec))  # type: ignore[arg-type]

    def results(self) -> dict[str, Any]:
        """What `results.json` holds; nothing where there is none. RunError where it is damaged."""
        path = self.inside("results.json")
        try:
            results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path} is damaged and cannot be read: move it away, and it will be written anew.") from error
        if not isinstance(results, dict) or any(not isinstance(results.get(name, {}), dict) for name in ("train", "val", "test")):
            raise RunError(f"{path} does not hold the results of a run: move it away, and it will be written anew.")
        return results

    def inside(self, name: str) -> Path:
        """The place `name` in the run folder, to write to. UserError where a link makes it lie elsewhere."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(f"{path} is a link that leads out of the run folder, to {path.resolve()}: nothing is written there.")
        return path


def find_run(path: str | Path, checkpoint: str = "best", trust_run_code: bool = False) -> Run:
    """The run at `path`: its folder, anything in it, or a checkpoint file. UserError where there is none.

    trust_run_code: see `read_config`.
    """
    check_bool("trust_run_code", trust_run_code)
    check_choice("checkpoint", checkpoint, CHECKPOINTS)
    folder = folder_of(path)
    start = Path(path).expanduser().absolute()
    file = start if start.suffix == ".ckpt" else folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not file.is_file():
        others = [name for name in CHECKPOINTS if (file.parent / f"{name}.ckpt").is_file()]
        remedy = f"take checkpoint={others[0]}" if others and file.stem in CHECKPOINTS else "its training did not get that far"
        raise UserError(f"run={path} has no checkpoint {file.name} in {file.parent}: {remedy}.")
    return Run(folder, read_config(folder / "config.yaml", trusted=trust_run_code), file)


def folder_of(path: str | Path, key: str = "run") -> Path:
    """The run folder that is at `path` or around it. UserError, in terms of the argument `key`, where there is none."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise InvalidValue(key, path, "the path of a run folder or of a checkpoint in it")
    given = Path(path).expanduser()
    try:
        there = given.exists()
    except OSError as error:
        raise UserError(f"{key}={format_value(path)} cannot be looked at ({error.strerror}).") from error
    if not there:
        raise UserError(f"{key}={format_value(path)}: there is no such file or folder.")
    start = given.absolute()
    folder = next((f for f in (start, *start.parents) if f.is_dir() and (f / "config.yaml").is_file()), None)
    if folder is None:
        if (start / "config.yaml").exists():
            raise UserError(f"{start / 'config.yaml'} is not a file, as the configuration of a run is.")
        raise UserError(f"{key}={path} is no run folder: there is no config.yaml in it.{_runs_below(start)}")
    return folder


def load(path: str | Path, checkpoint: str = "best", trust_run_code: bool = False) -> VAE:
    """The trained VAE of a run folder (or of a checkpoint in it), on the CPU, ready for use.

    UserError where the run is none or names code that does not ship (unless `trust_run_code`), RunError where its checkpoint is
    damaged or does not fit its configuration.
    """
    return load_vae(find_run(path, checkpoint, trust_run_code))


def load_vae(run: Run) -> VAE:
    """The VAE of a run, its weights read; for use, not for training."""
    vae = build_vae(run.config, run.data_spec)
    weights = {
        k.removeprefix("vae."): v for k, v in read_checkpoint(run.checkpoint)["state_dict"].items() if k.startswith("vae.")
    }
    if not all(bool(torch.isfinite(v).all()) for v in weights.values() if v.is_floating_point()):
        raise RunError(f"{run.checkpoint} holds weights that are not finite: its training failed; try the other checkpoint.")
    try:
        vae.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise RunError(f"{run.checkpoint} does not fit the model that {run.folder / 'config.yaml'} describes.") from error
    return vae.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors and plain data only, so that a downloaded one cannot run code."""
    try:
        if zipfile.is_zipfile(path) and not is_intact(path):
            raise RuntimeError("a checksum does not fit")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"{path} holds more than tensors and plain data (or is damaged), and is not read.") from error
    except Exception as error:  # bytes at random make the reader stumble in every way there is
        raise RunError(f"{path} is damaged and cannot be read: try the other checkpoint beside it.") from error
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(k, str) and _is_weight(v) for k, v in weights.items()):
        raise RunError(f"{path} is no checkpoint of this framework.")
    return content


def _is_weight(value: Any) -> bool:
    """A dense tensor that is there, as every weight is."""
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta and not value.is_quantized


def _runs_below(start: Path) -> str:
    below = sorted(start.glob("**/config.yaml"))[:50] if start.is_dir() else []
    return f" The latest run below it is {below[-1].parent}." if below else ""
