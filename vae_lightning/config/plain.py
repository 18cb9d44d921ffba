"""A node of the configuration as plain data, with its type. Imports no torch."""

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
