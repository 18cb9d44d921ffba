"""Check the arguments of a constructor before it is called: names and types by its signature, ranges by `RANGES`.

Our own classes check their own arguments. Those of torch and Lightning often notice a wrong argument late, or not at all.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Union

from vae_lightning.config.builtin import is_special
from vae_lightning.errors import (
    InvalidValue,
    UserError,
    check_choice,
    check_int,
    check_number,
    did_you_mean,
    format_value,
    is_finite,
)


def check_arguments(
    key: str, path: str, target: Callable[..., object], values: Mapping[str, object], given: Collection[str]
) -> None:
    """Check that a class or function can be called.

    Args:
        key: the node of the configuration that describes the call.
        path: the dotted name in its `_target_`.
        target: the class or function of that name.
        values: the arguments in the configuration.
        given: the names of those that the program adds.

    Raises:
        UserError: an argument is unknown or missing; the message names the key.
        InvalidValue: an argument has a wrong type or is out of its range.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return
    partial = bool(values.get("_partial_"))
    values = {name: value for name, value in values.items() if not is_special(name)}
    _check_names(key, target, parameters, values, given, partial)
    checks_itself = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]  # on purpose: its own __init__
    ours = str(getattr(checks_itself, "__module__", "")).startswith("vae_lightning.")
    hints = {} if ours else _hints(target)
    for name, value in values.items():
        if name in hints and not matches_type(value, hints[name]):
            raise InvalidValue(name, value, describe_type(hints[name]))
        if value is not None and name in RANGES.get(path, {}):
            RANGES[path][name](name, value)
        if not ours and not fits_64_bits(value):
            raise InvalidValue(name, value, f"numbers between −{LARGEST_INT64} and {LARGEST_INT64}")


def _check_names(
    key: str,
    target: Callable[..., object],
    parameters: Mapping[str, inspect.Parameter],
    values: Mapping[str, object],
    given: Collection[str],
    partial: bool,
) -> None:
    named = [name for name, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    what = getattr(target, "__name__", key)
    if not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        for name in values:
            if name not in named:
                own = [n for n in named if n not in given and not (partial and parameters[n].default is inspect.Parameter.empty)]
                hint = did_you_mean(str(name), own)
                raise UserError(
                    f"{key}.{name}={format_value(values[name])}: {what} takes no such argument.{hint} "
                    f"It takes {', '.join(own[:12]) or 'none'}{' …' if len(own) > 12 else ''}."
                )
    for name in named:
        required = parameters[name].default is inspect.Parameter.empty
        if required and not partial and name not in values and name not in given:
            raise UserError(f"{key}.{name} is not set: {what} needs it (add {key}.{name}=…).")


LARGEST_INT64 = 2**63 - 1


def fits_64_bits(value: object) -> bool:
    """Whether every integer in a value, also in nested lists and mappings, fits into 64 bits, as libraries in C assume."""
    if isinstance(value, Mapping):
        return all(map(fits_64_bits, value.values()))
    if isinstance(value, list):
        return all(map(fits_64_bits, value))
    return not isinstance(value, int) or abs(value) <= LARGEST_INT64


def _hints(target: Callable[..., object]) -> dict[str, Any]:
    """Return the types of the arguments; none if the annotations cannot be evaluated."""
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except Exception:  # an annotation may hold any code
        return {}


def matches_type(value: object, hint: Any) -> bool:
    """Whether a value from YAML has the type `hint`; true if that cannot be decided."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar | str) or (isinstance(value, Mapping) and "_target_" in value):
        return True
    if origin in (Union, types.UnionType):
        return any(matches_type(value, part) for part in inner)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in inner)
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or hint
    if kind is tuple and inner and Ellipsis not in inner:
        return isinstance(value, list) and len(value) == len(inner) and all(map(matches_type, value, inner))
    if kind in (list, tuple, Sequence, Iterable, Collection):
        return isinstance(value, list) and all(matches_type(part, inner[0]) for part in value if inner)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


_WORDS: dict[Any, str] = {int: "an integer", float: "a finite number", str: "text", type(None): "null"}


def describe_type(hint: Any) -> str:
    """Return a description of a type: `an integer, a finite number or null`."""
    words = list(dict.fromkeys(_alternatives(hint))) or [getattr(hint, "__name__", str(hint))]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _alternatives(hint: Any) -> list[str]:
    """Return the words for the types that can be typed on a command line, null last; none for other classes."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        # typing caches a union, in the order in which any code wrote it first
        order = [int, float, bool, str]
        ordered = sorted(inner, key=lambda part: (part is type(None), order.index(part) if part in order else len(order)))
        return [word for part in ordered for word in _alternatives(part)]
    if origin is Literal:
        return [str(part) for part in inner]
    if hint is bool:
        return ["true", "false"]
    kind = origin or hint
    if kind is tuple and inner and Ellipsis not in inner:
        return [f"a list of {len(inner)}, each {describe_type(inner[0])}"]
    if kind in (list, tuple, Sequence, Iterable, Collection):
        return ["a list" + (f", each item {describe_type(inner[0])}" if inner and _alternatives(inner[0]) else "")]
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return ["a mapping"]
    return [_WORDS[hint]] if hint in _WORDS else []


Check = Callable[[str, object], object]


def at_least(minimum: int, maximum: int | None = None) -> Check:
    """Return a check that an integer is in [minimum, maximum]. Other types are left to the signature."""

    def check(name: str, value: object) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            check_int(name, value, minimum, maximum)

    return check


def share_or_count(name: str, value: object) -> None:
    """Check a number of batches, or a share of them in [0, 1]."""
    if isinstance(value, int | float) and (value < 0 or (isinstance(value, float) and value > 1)):
        raise InvalidValue(name, value, "a share from 0.0 to 1.0 of the batches, or a number of batches")


def _some_batches(name: str, value: object) -> None:
    """Like `share_or_count`, but greater than 0: a schedule needs at least one step."""
    share_or_count(name, value)
    _above_zero(name, value)


def _limit(name: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value != -1 and value < 1:
        raise InvalidValue(name, value, "an integer of at least 1, or -1 for no limit")
    at_least(-1)(name, value)


def _number(low: float, *, above: bool = False) -> Check:
    return lambda name, value: check_number(name, value, low, above=above)


def _choice(*allowed: str) -> Check:
    return lambda name, value: check_choice(name, value, allowed)


def _above_zero(name: str, value: object) -> None:
    if isinstance(value, int | float) and not value > 0:
        raise InvalidValue(name, value, "above 0: a share of an epoch, or a number of batches")


def _duration(name: str, value: object) -> None:
    units = ("weeks", "days", "hours", "minutes", "seconds")
    if isinstance(value, str):
        good = bool(re.fullmatch(r"\d{1,6}(:\d{1,6}){3}", value.strip()))
    else:
        good = isinstance(value, Mapping) and len(value) > 0 and all(k in units and is_duration(v) for k, v in value.items())
    if not good:
        raise InvalidValue(
            name,
            value,
            "text such as '00:00:10:00' (days:hours:minutes:seconds), a mapping such as {hours:2}, each at most 999999, or null",
        )


def is_duration(value: object) -> bool:
    """Whether it is a number of days, hours, minutes or seconds that a timer can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**6


def _precision(name: str, value: object) -> None:
    # images are float32, and log-densities stay float32 under mixed precision
    check_choice(name, str(value), ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16"))


def _accelerator(name: str, value: object) -> None:
    import torch

    if value == "mps" or (value in ("gpu", "cuda") and not torch.cuda.is_available()):
        raise InvalidValue(name, value, "cpu or auto, since this machine has no GPU that supports float64 in torch")


_MODE = _choice("min", "max")


RANGES: dict[str, dict[str, Check]] = {
    "lightning.pytorch.Trainer": {
        "accelerator": _accelerator,
        "devices": at_least(-1, 1024),
        "precision": _precision,
        "max_time": _duration,
        "num_nodes": at_least(1, 10000),
        "fast_dev_run": at_least(0),
        "max_epochs": _limit,
        "min_epochs": at_least(0),
        "max_steps": _limit,
        "min_steps": at_least(0),
        "limit_train_batches": _some_batches,
        "limit_val_batches": share_or_count,
        "overfit_batches": share_or_count,
        "val_check_interval": _above_zero,
        "check_val_every_n_epoch": at_least(1),
        "num_sanity_val_steps": at_least(-1),
        "log_every_n_steps": at_least(1),
        "accumulate_grad_batches": at_least(1),
        "gradient_clip_val": _number(0),
        "gradient_clip_algorithm": _choice("norm", "value"),
        "reload_dataloaders_every_n_epochs": at_least(0),
    },
    "vae_lightning.training.callbacks.EarlyStopping": {
        "min_delta": _number(0),
        "patience": at_least(0),
        "mode": _MODE,
    },
    "lightning.pytorch.loggers.CSVLogger": {"flush_logs_every_n_steps": at_least(1)},
    "torch.optim.SGD": {"momentum": _number(0), "weight_decay": _number(0)},
    "torch.optim.Adam": {"eps": _number(0), "weight_decay": _number(0)},
    "torch.optim.AdamW": {"eps": _number(0), "weight_decay": _number(0)},
}
