"""Overrides as they are typed: parsed, and the values that a sweep lists. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from vae_lightning.config.compose import one_sentence
from vae_lightning.errors import UserError


def parse(text: str, loader: Any) -> Override:
    try:
        # not parse_override, which leaves out the loader that glob(…) looks its options up with
        (override,) = OverridesParser.create(config_loader=loader).parse_overrides([text])
        return override
    except HydraException as error:
        hint = "quote a value that holds spaces, commas or = (key='\"a=b\"')" if "=" in text else "overrides are key=value"
        raise UserError(f"{text!r} cannot be read as an override: {hint}.") from error


def refuse_sweeps(overrides: Sequence[Override]) -> None:
    for override in overrides:
        if override.is_sweep_override():
            text = override.input_line
            raise UserError(f"{text} lists several values: add -m to run them all, or write a list as {_as_list(text)}.")


def swept_values(override: Override) -> list[str]:
    """The values that a sweep lists. UserError where there is none."""
    try:
        values = list(override.sweep_string_iterator())
    except (ValueError, HydraException) as error:  # a step of 0
        raise UserError(f"{override.input_line}: {one_sentence(error)}") from error
    if not values:
        raise UserError(f"{override.input_line}: there is no value in it to be swept over.")
    return values


def _as_list(text: str | None) -> str:
    key, _, value = (text or "").partition("=")
    return f"{key}=[{value}]"


def is_group(override: Override, loader: Any) -> bool:
    return not override.is_delete() and bool(loader.get_group_options(group_of(override)))


def group_of(override: Override) -> str:
    return override.get_key_element().split("@")[0].lstrip("+~")


def sweep_variants(overrides: Sequence[Override], loader: Any) -> Iterator[list[tuple[str, Override]]]:
    """The command line with the first value of each sweep; then, one swept group at a time, with each other option."""
    values = {
        i: swept_values(override)
        for i, override in enumerate(overrides)
        if override.is_sweep_override() and not override.is_interval_sweep()
    }

    def line(chosen: dict[int, int]) -> list[tuple[str, Override]]:
        texts = []
        for i, override in enumerate(overrides):
            if i in values:
                texts.append((f"{override.get_key_element()}={values[i][chosen.get(i, 0)]}", override))
            elif not override.is_sweep_override():
                texts.append((override.input_line or "", override))
        return texts

    yield line({})
    for i, choices in values.items():
        if not is_group(overrides[i], loader):
            continue  # other values bring no other keys
        for place in range(1, len(choices)):
            yield line({i: place})
