"""A run is a folder: made once, described by `config.yaml`, and read back as a VAE. Reading runs no code of a checkpoint."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vae_lightning.build import build_vae
from vae_lightning.checkpoint_files import is_whole
from vae_lightning.data.base import DataFacts
from vae_lightning.errors import RunError, UserError, check_choice
from vae_lightning.vae import VAE

SCHEMA_VERSION = 1
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


def timestamp() -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def write_text(path: Path, text: str) -> None:
    """Written beside and renamed, so that no reader meets half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Run:
    """A run folder, its configuration, and the checkpoint that was asked for."""

    folder: Path
    config: DictConfig
    checkpoint: Path

    @property
    def facts(self) -> DataFacts:
        return DataFacts.from_dict(OmegaConf.to_container(self.config.facts))  # type: ignore[arg-type]

    def results(self) -> dict[str, Any]:
        path = self.folder / "results.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def find(path: str | Path, checkpoint: str = "best") -> Run:
    """The run at `path`: its folder, anything in it, or a checkpoint file. UserError where there is none."""
    check_choice("checkpoint", checkpoint, CHECKPOINTS)
    folder, start = folder_of(path), Path(path).expanduser().absolute()
    file = start if start.suffix == ".ckpt" else folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not file.is_file():
        raise UserError(f"run={path} has no checkpoint {file.name} in {file.parent}: its training did not get that far.")
    return Run(folder, _read_config(folder / "config.yaml"), file)


def folder_of(path: str | Path, key: str = "run") -> Path:
    """The run folder that is at `path` or around it. UserError, in terms of the argument `key`, where there is none."""
    given = Path(path).expanduser()
    if not given.exists():
        raise UserError(f"{key}={path}: there is no such file or folder.")
    start = given.absolute()
    folder = next((f for f in (start, *start.parents) if (f / "config.yaml").is_file() and f.is_dir()), None)
    if folder is None:
        raise UserError(f"{key}={path} is no run folder: there is no config.yaml in it.{_runs_below(start)}")
    return folder


def load(path: str | Path, checkpoint: str = "best") -> VAE:
    """The trained VAE of a run folder (or of a checkpoint in it), on the CPU, ready for use.

    UserError where the run is none, RunError where its checkpoint is damaged or does not fit its configuration.
    """
    return load_vae(find(path, checkpoint))


def load_vae(run: Run) -> VAE:
    vae = build_vae(run.config, run.facts)
    assert isinstance(vae, VAE)
    weights = {
        k.removeprefix("vae."): v for k, v in read_checkpoint(run.checkpoint)["state_dict"].items() if k.startswith("vae.")
    }
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{run.checkpoint} does not fit the model that {run.folder / 'config.yaml'} describes.") from error
    return vae.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors and plain data only, so that a downloaded one cannot run code."""
    try:
        if zipfile.is_zipfile(path) and not is_whole(path):
            raise RuntimeError("a checksum does not fit")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"{path} holds more than tensors and plain data (or is damaged), and is not read.") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged and cannot be read: try the other checkpoint beside it.") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise RunError(f"{path} is no checkpoint of this framework.")
    return content


def _read_config(path: Path) -> DictConfig:
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise RunError(f"{path} is damaged and cannot be read.") from error
    if not isinstance(config, DictConfig) or "schema_version" not in config or "facts" not in config:
        raise UserError(f"{path} is not the configuration of a run.")
    if config.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema_version={config.schema_version}, and this version of vae-lightning reads {SCHEMA_VERSION}."
        )
    return config


def _runs_below(start: Path) -> str:
    below = sorted(start.glob("**/config.yaml"))[:50] if start.is_dir() else []
    return f" The latest run below it is {below[-1].parent}." if below else ""
