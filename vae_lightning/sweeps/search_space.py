"""Converts Hydra's sweep overrides to Optuna's search spaces."""

from __future__ import annotations

import math

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    ParsedElementType,
    QuotedString,
    RangeSweep,
    Transformer,
)
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from vae_lightning.errors import UserError


def distribution(override: Override) -> BaseDistribution:
    """Return the distribution of `key=interval(0.1,10)`, `tag(log,interval(1e-4,1e-2))`, `range(2,65,2)`, `choice(a,b)` or `a,b`.

    As in Hydra's grammar, an interval holds real numbers unless written `int(interval(1,8))`, and a range excludes its end.

    Raises:
        UserError: the space is empty or endless.
    """
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
        assert isinstance(value, ChoiceSweep | Glob)
        return CategoricalDistribution([_category(element) for element in override.sweep_iterator(Transformer.identity)])
    except ValueError as error:
        raise UserError(f"{override.input_line}: {' '.join(str(error).split())}") from error


def as_override(override: Override, value: CategoricalChoiceType) -> str:
    """Return the override that sets the key to a sampled value."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}"
    return f"{override.get_key_element()}={text}"


def _interval(value: IntervalSweep) -> BaseDistribution:
    start, end, log = value.start, value.end, "log" in value.tags
    assert start is not None
    assert end is not None
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError("both ends of an interval must be finite.")
    if isinstance(start, int) and isinstance(end, int):
        return IntDistribution(start, end, log=log)
    return FloatDistribution(start, end, log=log)


def _range(value: RangeSweep) -> BaseDistribution:
    numbers = list(value.range())
    if not numbers:
        raise ValueError("the range is empty.")
    low, high = min(numbers), max(numbers)
    if all(isinstance(number, int) for number in numbers):
        log = "log" in value.tags and abs(value.step) == 1
        return IntDistribution(int(low), int(high), log=log, step=int(abs(value.step)))
    return FloatDistribution(float(low), float(high), step=abs(float(value.step)))


def _category(element: ParsedElementType) -> bool | int | float | str:
    """Return a category that a study and sweep.json can store: a finite number as such, else the text of its override."""
    if isinstance(element, bool | int | float) and math.isfinite(element):
        return element
    return element.with_quotes() if isinstance(element, QuotedString) else Transformer.str(element)
