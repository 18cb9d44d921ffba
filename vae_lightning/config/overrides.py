"""Overrides as typed (`model=conv`, `beta=1,2`): parsed, and the values of those that a sweep lists. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from vae_lightning.config.compose import Composer
from vae_lightning.config.messages import one_sentence
from vae_lightning.errors import UserError

LONGEST = 10_000  # characters: Hydra takes minutes to parse more
MOST_VALUES = 10_000  # the most values of one swept key, and jobs of a sweep


def parse(text: str, loader: ConfigLoader) -> Override:
    """One override, parsed.

    Raises:
        UserError: it is not valid in Hydra's grammar.
    """
    if len(text) > LONGEST:
        long = f"it has {len(text):,} characters, and at most {LONGEST:,} are read"
        raise UserError(f"{text[:60]}… cannot be read as an override: {long}.")
    try:
        # parse_override() would leave out the loader, which glob(…) needs to list the options
        (override,) = OverridesParser.create(config_loader=loader).parse_overrides([text])
        return override
    except RecursionError as error:
        raise UserError(f"{text[:60]}… cannot be read as an override: it is nested too deeply.") from error
    except ValueError as error:  # Python does not read a number of more than 4300 digits
        raise UserError(f"{text[:60]}… cannot be read as an override: {one_sentence(error)}") from error
    except HydraException as error:
        quoting = "quote a value that contains spaces, commas or = (key='\"a=b\"')"
        hint = quoting if "=" in text else "write overrides as key=value"
        raise UserError(f"{text!r} cannot be read as an override: {hint}.") from error


def is_plain(override: Override) -> bool:
    """Whether it sets one value of an existing key, such as `beta=4`: no list to sweep over, no `+`, no `~`."""
    return not (override.is_sweep_override() or override.is_delete() or override.is_add() or override.is_force_add())


def refuse_sweeps(overrides: Sequence[Override]) -> None:
    """Refuse several values for a key, which only a sweep can run (UserError)."""
    for override in overrides:
        if override.is_sweep_override():
            text = override.input_line
            raise UserError(f"{text} lists several values: add -m to run them all, or write a list as {_as_list(text)}.")


def swept_values(override: Override) -> list[str]:
    """Return the values that a sweep lists.

    Raises:
        UserError: there are none, or too many.
    """
    if not is_countable(override):
        raise UserError(f"{override.input_line}: a sweep lists at most {MOST_VALUES:,} values of a key.")
    try:
        values = list(override.sweep_string_iterator())
    except (ValueError, HydraException) as error:  # a step of 0
        raise UserError(f"{override.input_line}: {one_sentence(error)}") from error
    if not values:
        raise UserError(f"{override.input_line}: it has no values to sweep over.")
    return values


def is_countable(override: Override) -> bool:
    """Whether the values of this sweep over a list can be listed: `range(0,1000000000000)` is short to write."""
    swept = override.value()
    if not isinstance(swept, RangeSweep):
        return True
    if swept.start is None or swept.stop is None or not swept.step:
        return True  # whatever reads it will report the error
    return bool(abs((swept.stop - swept.start) / swept.step) <= MOST_VALUES)


def _as_list(text: str | None) -> str:
    key, _, value = (text or "").partition("=")
    return f"{key}=[{value}]"


def is_group(override: Override, composer: Composer) -> bool:
    """Whether it chooses an option of a group (`model=conv`) rather than setting a key (`beta=4`)."""
    return not override.is_delete() and bool(composer.options(group_of(override)))


def group_of(override: Override) -> str:
    """Return `model` for `+model@here=conv`."""
    return override.get_key_element().split("@")[0].lstrip("+~")


def sweep_variants(overrides: Sequence[Override], composer: Composer) -> Iterator[list[tuple[str, Override]]]:
    """Yield the command lines to check: the first value of each sweep, then each other option of a swept group in turn."""
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
        if not is_group(overrides[i], composer):
            continue  # changing a value does not change which keys exist
        for option in range(1, len(choices)):
            yield line({i: option})
