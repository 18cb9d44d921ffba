"""Refuse unknown options and unknown keys, with the nearest known name.

The arguments of constructors are checked in `config/signatures.py`, and the settings of measures and pictures in
`evaluation/settings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.builtin import CONFIG_GROUPS, PUBLISHED, conf_dir, walk_entries
from vae_lightning.config.compose import Composer
from vae_lightning.config.overrides import group_of, is_group, swept_values
from vae_lightning.config.plugins import check_launcher
from vae_lightning.errors import UserError, did_you_mean, format_value

_SWEEP = "it is a setting of a sweep, which -m or sweep=<option> starts"
_FOLDER = "a run goes where output_dir and name say, and other commands write where their own keys say"
# settings of `hydra` that neither this program nor Hydra acts on in a single run
_IGNORED = {
    "hydra.run": _FOLDER,
    "hydra.job.chdir": _FOLDER,
    "hydra.output_subdir": "the run folder has config.yaml, and --cfg hydra prints Hydra's own settings",
    "hydra.verbose": "Hydra's logging is off",
    "hydra.mode": _SWEEP,
    **dict.fromkeys(("hydra.sweep", "hydra.sweeper", "hydra.launcher", "hydra/sweeper", "hydra/launcher"), _SWEEP),
    **dict.fromkeys(("hydra.hydra_logging", "hydra/hydra_logging"), "Hydra logs only while it launches a sweep"),
    **dict.fromkeys(("hydra.help", "hydra.hydra_help", "hydra/help", "hydra/hydra_help"), "--help prints a text of its own"),
}


def check_option(override: Override, composer: Composer) -> None:
    """Refuse an unknown option of a group, such as `model=cnn`, and any override of published values (UserError)."""
    if override.key_or_group.partition(".")[0] == PUBLISHED:
        raise UserError(f"{override.input_line}: {PUBLISHED} holds the values that a paper reports, not settings; leave it out.")
    if not is_group(override, composer):
        return
    group = group_of(override)
    options = composer.options(group)
    chosen = swept_values(override) if override.is_sweep_override() else [override.value()]
    for value in chosen:
        if isinstance(value, list) and group in (*CONFIG_GROUPS, "trainer", "sweep"):
            raise UserError(f"{override.input_line}: {group} takes one option, not a list. Allowed: {', '.join(options)}.")
        for option in value if isinstance(value, list) else [value]:
            text = option.text if isinstance(option, QuotedString) else str(option)
            if group == "hydra/launcher":
                check_launcher(text)
            if option is None or text == "null":
                raise UserError(f"{group}=null: unknown option (~{group} leaves {group} out). Allowed: {', '.join(options)}.")
            if text not in options:
                raise UserError(f"{group}={text}: unknown option.{did_you_mean(text, options)} Allowed: {', '.join(options)}.")


def refuse_ignored(overrides: Sequence[Override], sweep: bool) -> None:
    """Refuse a setting of Hydra that nothing would act on (UserError): of a single run most, of a sweep those of a single run."""
    for override in overrides:
        for key, reason in _IGNORED.items():
            ignored = override.key_or_group == key or override.key_or_group.startswith((f"{key}.", f"{key}/"))
            if ignored and (not sweep or key == "hydra.run"):
                raise UserError(f"{override.input_line} would have no effect: {reason}.")


def check_keys(config: DictConfig, overrides: Sequence[Override], groups: Sequence[str]) -> None:
    """Refuse an override of a key that `config` does not have, such as `latnt_dim=3` (UserError)."""
    known = list(keys(config))
    for override in overrides:
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or key.startswith("hydra") or key in known:
            continue
        leaf = key.rpartition(".")[2]
        near = _options_with(key) or did_you_mean(key, [*known, *groups])
        near = near or did_you_mean(leaf, {k.rpartition(".")[2] for k in known})
        raise UserError(f"{override.input_line}: unknown key {key!r}.{near} {_siblings(key, config)}")


def refuse_unused(config: DictConfig, config_name: str, groups: Sequence[str]) -> None:
    """Refuse a key that nothing would read (UserError).

    A user's own file, or `+key=value`, may add keys. Outside the groups, whose constructors check their own arguments, a key
    must be in the shipped `<config_name>.yaml`, or another key must refer to it.
    """
    path = conf_dir() / f"{config_name}.yaml"
    if not path.is_file():
        return
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {".".join([*parents, str(key)]) for parents, key, _ in walk_entries(shipped)}
    text = OmegaConf.to_yaml(config, resolve=False)
    for key, value in entries(config):
        top = key.partition(".")[0]
        if top not in groups and top not in ("hydra", PUBLISHED) and key not in known and f"${{{key}" not in text:
            near = did_you_mean(key, known)
            raise UserError(f"{key}={format_value(value)}: unknown key {key!r}, and nothing uses it.{near}")


def keys(config: DictConfig) -> Iterator[str]:
    """Yield every key of `config` in dotted form, such as `model` and `model.hidden`."""
    return (key for key, _ in entries(config))


def entries(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of `config` with its value, interpolations as written (`${beta}`)."""
    yield from _entries(OmegaConf.to_container(config, resolve=False), "")


def _entries(content: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name!s}"
        yield key, value
        if isinstance(value, Mapping):
            yield from _entries(value, f"{key}.")


def _siblings(key: str, config: DictConfig) -> str:
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        node, parent = config, ""
    names = [str(name) for name in node if not str(name).startswith("_") and name != "hydra"]
    return f"Keys{f' of {parent}' if parent else ''}: {', '.join(names)}."


def _options_with(key: str) -> str:
    """Say which options of a key's group have it, with a leading space; empty if none has."""
    group, _, leaf = key.rpartition(".")
    paths = sorted((conf_dir() / group.replace(".", "/")).glob("*.yaml")) if group else []
    options = [path.stem for path in paths if leaf in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]
    return f" The options of {group} that have it: {', '.join(options)}." if options else ""
