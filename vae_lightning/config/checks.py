"""Options and keys that were typed exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.builtin import PUBLISHED
from vae_lightning.config.overrides import group_of, is_group, swept_values
from vae_lightning.config.plugins import check_launcher
from vae_lightning.errors import UserError, did_you_mean


def check_option(override: Override, loader: Any) -> None:
    """The chosen options of a group exist."""
    if override.key_or_group.partition(".")[0] == PUBLISHED:
        raise UserError(f"{override.input_line}: {PUBLISHED} holds the values that a paper reports, not settings; leave it out.")
    if not is_group(override, loader):
        return
    group = group_of(override)
    options = loader.get_group_options(group)
    chosen = swept_values(override) if override.is_sweep_override() else [override.value()]
    for value in chosen:
        for option in value if isinstance(value, list) else [value]:
            text = option.text if isinstance(option, QuotedString) else str(option)
            if group == "hydra/launcher":
                check_launcher(text)
            if option is None or text == "null":
                raise UserError(f"{group}=null: no such option (~{group} leaves {group} out). Allowed: {', '.join(options)}.")
            if text not in options:
                raise UserError(f"{group}={text}: no such option.{did_you_mean(text, options)} Allowed: {', '.join(options)}.")


def check_keys(config: DictConfig, plain: Sequence[Override], loader: Any) -> None:
    """Every plain key is there to be set."""
    for override in plain:
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or key.startswith("hydra"):
            continue
        known = list(keys(config))
        if key not in known:
            words = [*known, *loader.list_groups("")]
            leaf = key.rpartition(".")[2]
            near = did_you_mean(key, words) or did_you_mean(leaf, {k.rpartition(".")[2] for k in known})
            raise UserError(f"{override.input_line}: there is no key {key!r}.{near} {_siblings(key, config)}")


def keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in config:
        key = f"{prefix}{name!s}"
        yield key
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            yield from keys(node, f"{key}.")


def _siblings(key: str, config: DictConfig) -> str:
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        node, parent = config, ""
    names = [str(name) for name in node if not str(name).startswith("_") and name != "hydra"]
    return f"Keys{f' of {parent}' if parent else ''}: {', '.join(names)}."
