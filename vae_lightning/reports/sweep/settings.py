"""The value of a swept key in a run: read, compared, and shown as it is typed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

DIGITS = 4


@lru_cache(maxsize=1024)
def parsed(value: str) -> Any:
    """What Hydra makes of the text behind `key=`."""
    try:
        return OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:  # it is this that the job failed by
        return value


def value_of(config: dict[str, Any], key: str, given: Any) -> Any:
    """The value of a key in the run: the option of a group, a number, or what was given where the run has no configuration."""
    if not config:
        return given
    if key in config["choices"]:
        return config["choices"][key]
    found = OmegaConf.select(OmegaConf.create(config), key)
    return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found


def identity(value: Any) -> str:
    """The same text for the same setting: `beta=1` of one sweep is the default 1.0 of another."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def show(value: Any, digits: int = DIGITS) -> str:
    """A setting as it is typed, numbers to so many digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return value if isinstance(value, str) else str(value).replace(" ", "").replace("'", "")


def digits_apart(values: Iterable[Any]) -> int:
    """The fewest digits, four at least, to which different values are shown differently."""
    distinct = {identity(value): value for value in values}.values()
    return next((d for d in range(DIGITS, 17) if len({show(value, d) for value in distinct}) == len(distinct)), 17)
