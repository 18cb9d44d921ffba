"""Nodes of the configuration as plain data, with their types. Imports no torch."""

from __future__ import annotations

from typing import Any, cast

from omegaconf import OmegaConf


def plain_dict(node: object, *, resolve: bool = True) -> dict[str, Any]:
    """Return a mapping of the configuration as nested dicts and lists.

    Args:
        node: an OmegaConf mapping.
        resolve: whether to resolve interpolations.
    """
    return cast(dict[str, Any], OmegaConf.to_container(cast(Any, node), resolve=resolve))


def plain_texts(node: object) -> list[str]:
    """Return a list of texts of the configuration, such as overrides, with interpolations as typed."""
    return cast(list[str], OmegaConf.to_container(cast(Any, node), resolve=False))
