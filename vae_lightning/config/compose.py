"""Hydra as the checks of a command line use it: composing without running."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathElement
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vae_lightning.config.builtin import conf_dir
from vae_lightning.errors import UserError

VERSION_BASE = "1.3"


def search_path(parsed: Any) -> list[str]:
    """Where options are looked for beside the program's own: --config-dir and hydra.searchpath."""
    folders = [str(Path(parsed.config_dir).absolute())] if parsed.config_dir else []
    if folders and not Path(folders[0]).is_dir():
        raise UserError(f"--config-dir {parsed.config_dir}: there is no such folder.")
    for text in parsed.overrides:
        key, _, value = text.partition("=")
        if key == "hydra.searchpath":
            folders += [part.strip(" '\"") for part in value.strip("[]").split(",") if part.strip()]
    return folders


@contextmanager
def hydra_composer(folders: Sequence[str]) -> Iterator[None]:
    """Hydra over the program's configuration and `folders`, gone again at the end."""
    version.setbase(VERSION_BASE)
    where = create_config_search_path(str(conf_dir()))
    for folder in folders:
        # before the last place, which Hydra keeps for schemas
        where.get_path().insert(
            -1, SearchPathElement("command-line", folder if "://" in folder else f"file://{Path(folder).absolute()}")
        )
    GlobalHydra.instance().clear()
    Hydra.create_main_hydra2("check", where)
    try:
        yield
    finally:
        GlobalHydra.instance().clear()


def compose_config(config_name: str, overrides: Sequence[str]) -> DictConfig:
    try:
        return compose(config_name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(one_sentence(error)) from error


def one_sentence(error: Exception) -> str:
    """Hydra's message without its line breaks and internals; the deepest cause says most."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    lines = [line.strip() for line in str(deepest).splitlines()]
    lines = lines[: next((i for i, line in enumerate(lines) if line.startswith("Config search path")), len(lines))]
    text = " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type", "reference_type")))
    return re.sub(r"\s+", " ", text).rstrip(".") + "."


def quote(text: str) -> str:
    """As Hydra's grammar takes any text."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
