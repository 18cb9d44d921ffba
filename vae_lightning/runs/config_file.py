"""Reads `config.yaml` of a run folder safely, since the folder may come from anyone. Imports no torch.

Building a configuration calls whatever its `_target_`s name, and resolving it reads whatever its interpolations name. So an
untrusted one may have a `_target_` (or another of Hydra's special keys) only where the built-in configuration has one, and
only with a value that the built-in configuration has there. It may have no interpolations.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from vae_lightning.config.builtin import CONFIG_GROUPS, is_special, special_entries, walk_entries
from vae_lightning.errors import InvalidValue, RunError, UserError, check_int, check_ints, check_number, check_seed, format_value
from vae_lightning.files import write_text
from vae_lightning.readers import DEEPEST as MAX_DEPTH
from vae_lightning.readers import MOST_NODES, check_values, one_reason, read_text
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION, upgrade_config
from vae_lightning.runs.signature import is_own, signed

OPTION = "trust_run_code=true"
MOST_PIXELS, MOST_CLASSES = 2**24, 2**16  # of an image, its colours included; of a data set
# keys that may be missing or null, and what they are otherwise
OPTIONAL: dict[str, type] = {
    "callbacks": DictConfig, "logger": DictConfig, "overrides": ListConfig, "resumes": ListConfig, "label": str, "started": str,
    "compile": str, "data_spec.kind": str,
}  # fmt: skip


def read_config(path: Path, trusted: bool = False) -> DictConfig:
    """Read the configuration of a run.

    Args:
        path: the file.
        trusted: whether it may name any code and have interpolations. If not, it may only name classes of this package, each in
            its place, so that building it runs no code of the person who wrote it.

    Raises:
        UserError: it is not the configuration of a run, or an untrusted one names other code.
        RunError: it is damaged.
    """
    try:
        text = read_text(path)
        _check_yaml(text, path)
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
        content = upgrade_config(content) if isinstance(content, dict) else content  # type: ignore[arg-type]
        config = OmegaConf.create(content)
    except UserError:  # or its subclass RunError
        raise
    except Exception as error:  # the file may contain anything
        raise RunError(f"{path} is damaged and cannot be read.") from error
    try:
        check_values(content)
    except ValueError as error:
        raise RunError(f"{path} is damaged and cannot be read: {one_reason(error)}.") from error
    if not isinstance(config, DictConfig) or "schema_version" not in config:
        raise UserError(f"{path} is not the configuration of a run.")
    if content["schema_version"] != SCHEMA_VERSION:  # type: ignore[call-overload,index]  # checked above
        raise UserError(
            f"{path} has schema_version={format_value(content['schema_version'])}, "  # type: ignore[call-overload,index]
            f"but this version of vae-lightning reads {SCHEMA_VERSION}."
        )
    if not trusted:
        check_foreign(content, path)
    _check_whole(config, path)
    return config


def write_config(folder: Path, config: DictConfig, sign: bool = True) -> None:
    """Write `config.yaml` of a run folder.

    Args:
        folder: the run folder.
        config: the complete configuration.
        sign: whether the configuration is the user's own; one from somebody else is never signed.
    """
    text = OmegaConf.to_yaml(config)
    write_text(folder / "config.yaml", signed(text) if sign else text)


def is_own_run(folder: Path) -> bool:
    """Whether the configuration of a run folder bears the user's signature."""
    return is_own(read_text(folder / "config.yaml"))


def _check_yaml(text: str, path: Path) -> None:
    """Refuse deep nesting, more values than a run has, and aliases, with which a short text can expand without end."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH or count > 2 * MOST_NODES:
            raise UserError(
                f"{path} has YAML aliases, more than {MAX_DEPTH} levels or more than {MOST_NODES:,} values, which no run's "
                "configuration has."
            )


def check_foreign(content: object, path: Path) -> None:
    """Raise UserError if `content`, read from `path`, could run code from outside this package or read values from elsewhere."""
    for parents, key, value in walk_entries(content):
        name = ".".join([*parents, str(key)])
        if not is_text(str(key)) or (isinstance(value, str) and not is_text(value)):
            raise UserError(f"{path} has control characters at {format_value(name)}, which no run's configuration has.")
        if is_special(key) and not _is_builtin(parents, key, value):
            raise UserError(
                f"{path} names code that is not part of vae-lightning, {name}={format_value(value)}, which could do anything "
                f"when it is built: add {OPTION} if it is yours, or if you trust whoever made this run."
            )
        if isinstance(value, str) and "${" in value:
            raise UserError(
                f"{path} has an interpolation, {name}={format_value(value)}, which could read values from outside the run: "
                f"add {OPTION} if you trust whoever made this run."
            )


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return `config["a"]["b"]` for the key `a.b`, where a number is the index in a list; None if it does not exist."""
    value: Any = config
    for part in key.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdecimal() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def is_text(value: str) -> bool:
    """Whether a text has no control characters, such as the escape sequences of a terminal."""
    return not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in value)


def _is_builtin(parents: tuple[str, ...], key: str, value: object) -> bool:
    return isinstance(value, str | bool | None) and (parents, key, value) in special_entries()


def _check_whole(config: DictConfig, path: Path) -> None:
    """Check that every key that later code relies on is present, and is what that code takes it for."""
    groups = (*CONFIG_GROUPS, "trainer")
    types = {
        "data_spec.shape": ListConfig, "data_spec.mean": int | float, "data_spec.train_size": int, "name": str,
        "binarization": str, "seed": int, **dict.fromkeys(groups, DictConfig), **{f"choices.{group}": str for group in groups},
    }  # fmt: skip
    if "hierarchy" not in config:  # a run made before hierarchies existed
        types = {key: kind for key, kind in types.items() if not key.endswith("hierarchy")}
    for key, kind in types.items():
        if not isinstance(OmegaConf.select(config, key), kind):
            raise UserError(f"{path} is not the complete configuration of a run: {key} is missing, or has the wrong type.")
    for key, wanted in OPTIONAL.items():
        if not isinstance(OmegaConf.select(config, key), wanted | None):
            raise UserError(f"{path} is not the configuration of a run: {key} has the wrong type.")
    try:
        _check_values(config)
    except InvalidValue as error:
        raise UserError(f"{path} has {error}") from error


def _check_values(config: DictConfig) -> None:
    """InvalidValue for a value of a right type that no run can have."""
    spec = config.data_spec
    if len(check_ints("data_spec.shape", spec.shape)) != 3 or prod(spec.shape) > MOST_PIXELS:
        raise InvalidValue("data_spec.shape", spec.shape, f"channels, height and width of at most {MOST_PIXELS:,} numbers in all")
    check_number("data_spec.mean", spec.mean, *(() if spec.get("kind") == "real" else (0, 1)))
    check_int("data_spec.train_size", spec.train_size)
    if spec.get("classes") is not None:
        check_int("data_spec.classes", spec.classes, 1, MOST_CLASSES)
    if not _are_texts(spec.get("class_names")):
        raise InvalidValue("data_spec.class_names", spec.class_names, "a list of texts, or null")
    check_seed("seed", config.seed)
    if not _are_texts(config.get("overrides")):
        raise InvalidValue("overrides", config.overrides, "a list of texts, or null")
    for place, entry in enumerate(config.get("resumes") or []):
        if not isinstance(entry, DictConfig) or "overrides" not in entry or not _are_texts(entry.overrides):
            raise InvalidValue(f"resumes.{place}", entry, "a mapping that has overrides, a list of texts")


def _are_texts(values: object) -> bool:
    return values is None or (isinstance(values, ListConfig) and all(isinstance(value, str) for value in values))
