"""`config.yaml` of a run folder, read with care, since the folder may come from anyone. Imports no torch.

Building a configuration calls whatever its `_target_`s name, and resolving it reads what its interpolations name. So a foreign
one may hold a `_target_` (or another of Hydra's special keys) only at a place where the shipped configuration has one, only
with a value that stands there, and no interpolation at all.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from vae_lightning.config.builtin import CONFIG_GROUPS, is_special, special_entries, walk_entries
from vae_lightning.errors import InvalidValue, RunError, UserError, check_ints, format_value
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION, upgrade_config

DEEPEST = 40
OPTION = "trust_run_code=true"


def read_config(path: Path, trusted: bool = False) -> DictConfig:
    """The configuration of a run. UserError where it is none, RunError where it is damaged.

    Not trusted, it names classes that ship with this program only, each where it belongs, and no interpolation: building it
    runs no code of whoever wrote it (see above). UserError where it does.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _check_yaml(text, path)
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
        content = upgrade_config(content) if isinstance(content, dict) else content  # type: ignore[arg-type]
        config = OmegaConf.create(content)
    except UserError:
        raise
    except Exception as error:  # any text may stand in it
        raise RunError(f"{path} is damaged and cannot be read.") from error
    if not isinstance(config, DictConfig) or "schema_version" not in config:
        raise UserError(f"{path} is not the configuration of a run.")
    if content["schema_version"] != SCHEMA_VERSION:  # type: ignore[call-overload,index]
        raise UserError(
            f"{path} has schema_version={format_value(content['schema_version'])}, "  # type: ignore[call-overload,index]
            f"and this version of vae-lightning reads {SCHEMA_VERSION}."
        )
    if not trusted:
        check_foreign(content, path)
    _check_whole(config, path)
    return config


def _check_yaml(text: str, path: Path) -> None:
    """No aliases, by which a short text becomes an endless configuration, and no endless nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise UserError(f"{path} holds YAML aliases or more than {DEEPEST} levels, as no run's configuration does.")


def check_foreign(content: Any, path: Path) -> None:
    """UserError where `content`, read from `path`, could run code that does not ship, or read what is not its own."""
    for place, key, value in walk_entries(content):
        name = ".".join([*place, str(key)])
        if not is_text(str(key)) or (isinstance(value, str) and not is_text(value)):
            raise UserError(f"{path} holds control characters at {format_value(name)}, as no run's configuration does.")
        if is_special(key) and not _ships(place, key, value):
            raise UserError(
                f"{path} names code that is not part of vae-lightning, {name}={format_value(value)}, and building it could do "
                f"anything: add {OPTION} if it is yours, or you trust whoever made this run."
            )
        if isinstance(value, str) and "${" in value:
            raise UserError(
                f"{path} holds an interpolation, {name}={format_value(value)}, which could read what is not the run's: "
                f"add {OPTION} if you trust whoever made this run."
            )


def is_text(value: str) -> bool:
    """Whether a terminal prints it as it is: no escape sequences."""
    return not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in value)


def _ships(place: tuple[str, ...], key: str, value: Any) -> bool:
    return isinstance(value, str | bool) and (place, key, value) in special_entries()


def _check_whole(config: DictConfig, path: Path) -> None:
    """What every run's configuration holds is there, so that no later line stumbles over it."""
    groups = (*CONFIG_GROUPS, "trainer")
    types = {
        "data_spec.shape": ListConfig, "data_spec.mean": int | float, "data_spec.train_size": int, "name": str,
        "binarization": str, **dict.fromkeys(groups, DictConfig), **{f"choices.{group}": str for group in groups},
    }  # fmt: skip
    if "hierarchy" not in config:  # of a run from before there were any
        types = {key: kind for key, kind in types.items() if not key.endswith("hierarchy")}
    for key, kind in types.items():
        if not isinstance(OmegaConf.select(config, key), kind):
            raise UserError(f"{path} is not the whole configuration of a run: {key} is missing, or not what a run has there.")
    if len(check_ints("data_spec.shape", config.data_spec.shape)) != 3:
        raise InvalidValue("data_spec.shape", config.data_spec.shape, "channels, height and width")
