"""Keys that only a swept option has. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override

from vae_lightning.command_line import keys
from vae_lightning.composing import composed, composing, search_path
from vae_lightning.overrides import is_group, parse


def set_in_every_job(arguments: Sequence[str], config_name: str) -> list[str]:
    """The checked command line of a sweep, as Hydra takes it: `-m model=conv,resnet ++model.channels=[16]`.

    Hydra composes a sweep as a whole with the default of each swept group, here mlp, and refuses keys that are not in it; with
    `++` it sets them all the same.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    if not parsed.multirun:
        return list(arguments)
    with composing(search_path(parsed)):
        loader: Any = GlobalHydra.instance().config_loader()
        overrides = [parse(text, loader) for text in parsed.overrides]
        groups = [override for override in overrides if is_group(override, loader)]
        whole = composed(parsed.config_name or config_name, [o.input_line or "" for o in groups if not o.is_sweep_override()])
        known = set(keys(whole))
        missing = {o.input_line for o in overrides if _is_plain(o) and o not in groups and o.key_or_group not in known}
    return [f"++{argument}" if argument in missing else argument for argument in arguments]


def _is_plain(override: Override) -> bool:
    return not (
        override.is_sweep_override()
        or override.is_delete()
        or override.is_add()
        or override.is_force_add()
        or override.key_or_group.startswith("hydra")
    )
