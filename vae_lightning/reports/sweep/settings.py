"""Reads, compares and shows the values of swept keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeGuard

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vae_lightning.errors import is_finite, printable
from vae_lightning.runs.config_file import value_at

DIGITS = 4


@lru_cache(maxsize=1024)
def parsed(value: str) -> Any:
    """Return what Hydra parses the text after `key=` to."""
    try:
        return OverridesParser.create().parse_override(f"key={value}").value()
    except (HydraException, ValueError, RecursionError):  # this value made the job fail
        return value


def value_of(config: dict[str, Any], key: str, given: Any) -> Any:
    """Return the value of a key in a run: the chosen option of a group or a setting; `given` if the run has no configuration."""
    if not config:
        return given
    if key in config["choices"]:
        return config["choices"][key]
    return value_at(config, key)  # plain data: an interpolation in a foreign run could read the user's environment


def is_plain_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number, which can be a position on an axis; True is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def identity(value: object) -> str:
    """Return the same text for equal settings: `beta=1` in one sweep is the default 1.0 in another."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def show(value: object, digits: int = DIGITS) -> str:
    """Return a setting as typed, with numbers rounded to `digits` significant digits and control characters escaped."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return printable(value if isinstance(value, str) else str(value).replace(" ", "").replace("'", ""))


def digits_apart(values: Iterable[object]) -> int:
    """Return the smallest number of digits, at least four, that shows different values differently."""
    distinct = {identity(value): value for value in values}.values()
    return next((d for d in range(DIGITS, 17) if len({show(value, d) for value in distinct}) == len(distinct)), 17)
