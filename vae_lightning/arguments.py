"""The arguments of constructors, checked before they are called: names and types by the signature, ranges by `ranges`.

Our own classes check their arguments themselves, those of torch and Lightning often find a wrong one late.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Union

from vae_lightning.errors import InvalidValue, UserError, nearest, shown
from vae_lightning.ranges import RANGES
from vae_lightning.shipped import is_special


def check_arguments(key: str, path: str, target: Callable[..., Any], values: Mapping[str, Any], given: Collection[str]) -> None:
    """Whether `target`, named `path`, can be called with the `values` of the node `key` and those `given` by the program.

    InvalidValue, or UserError naming the key, where it cannot: an argument it does not take or lacks, or one of a wrong type.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # built in, without a signature
        return
    partial = bool(values.get("_partial_"))
    values = {name: value for name, value in values.items() if not is_special(name)}
    _check_names(key, target, parameters, values, given, partial)
    checks_itself = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    ours = str(getattr(checks_itself, "__module__", "")).startswith("vae_lightning.")
    hints = {} if ours else _hints(target)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise InvalidValue(name, value, in_words(hints[name]))
        if value is not None and name in RANGES.get(path, {}):
            RANGES[path][name](name, value)


def _check_names(
    key: str,
    target: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    values: Mapping[str, Any],
    given: Collection[str],
    partial: bool,
) -> None:
    named = [name for name, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    what = getattr(target, "__name__", key)
    if not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        for name in values:
            if name not in named:
                own = [n for n in named if n not in given and not (partial and parameters[n].default is inspect.Parameter.empty)]
                hint = nearest(str(name), own)
                raise UserError(
                    f"{key}.{name}={shown(values[name])}: {what} takes no such argument.{hint} "
                    f"It takes {', '.join(own[:12]) or 'none'}{' …' if len(own) > 12 else ''}."
                )
    for name in named:
        required = parameters[name].default is inspect.Parameter.empty
        if required and not partial and name not in values and name not in given:
            raise UserError(f"{key}.{name} is not set: {what} needs it (add {key}.{name}=…).")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """The types of the arguments, without those that cannot be told."""
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except Exception:  # any code may stand in an annotation
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is one of the type `hint`; what cannot be told fits."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar | str) or (isinstance(value, Mapping) and "_target_" in value):
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in inner)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in inner)
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or hint
    if kind is tuple and inner and Ellipsis not in inner:
        return isinstance(value, list) and len(value) == len(inner) and all(map(fits, value, inner))
    if kind in (list, tuple, Sequence, Iterable, Collection):
        return isinstance(value, list) and all(fits(part, inner[0]) for part in value if inner)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


_WORDS: dict[Any, str] = {int: "an integer", float: "a finite number", str: "text", type(None): "null"}


def in_words(hint: Any) -> str:
    """A type as a person says it: `an integer, a finite number or null`."""
    words = list(dict.fromkeys(_alternatives(hint))) or [getattr(hint, "__name__", str(hint))]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _alternatives(hint: Any) -> list[str]:
    """The words of what can be typed on a command line, null last; none for other classes."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        # typing remembers the order in which a union was first written anywhere
        order = [int, float, bool, str]
        ordered = sorted(inner, key=lambda part: (part is type(None), order.index(part) if part in order else len(order)))
        return [word for part in ordered for word in _alternatives(part)]
    if origin is Literal:
        return [str(part) for part in inner]
    if hint is bool:
        return ["true", "false"]
    kind = origin or hint
    if kind is tuple and inner and Ellipsis not in inner:
        return [f"a list of {len(inner)}, each {in_words(inner[0])}"]
    if kind in (list, tuple, Sequence, Iterable, Collection):
        return ["a list" + (f" of which each is {in_words(inner[0])}" if inner and _alternatives(inner[0]) else "")]
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return ["a mapping"]
    return [_WORDS[hint]] if hint in _WORDS else []
