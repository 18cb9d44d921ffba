"""Errors that people read, and the checks of arguments that raise them. Imports nothing, so that it is quick to import."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn


class UserError(Exception):
    """Something a person can mend: one sentence, shown without a traceback.

    `status` is the exit status of the command: 2 where the configuration, or the data that it names, is wrong; 1 where the
    machine, a file of the run or the numbers failed.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class InvalidValue(UserError, ValueError):
    """An argument out of its range. `name` is the constructor's argument, `value` what came, `allowed` what may come."""

    def __init__(self, name: str, value: Any, allowed: str) -> None:
        super().__init__(f"{name}={format_value(value)}: must be {allowed}.")
        self.name, self.value, self.allowed = name, value, allowed


class RunError(UserError):
    """The configuration was right, but the machine, a file of the run or the numbers were not: exit status 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=1)


@contextmanager
def prefix_key(key: str) -> Iterator[None]:
    """An InvalidValue leaves this block with its argument named as a key below `key`."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"{key}.{error.name}", error.value, error.allowed) from error


def format_value(value: Any) -> str:
    """A value as it is typed on the command line: null, true, [1,a], {a:1}; control characters escaped, long ones cut."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, str):
        text = printable(value)
        text = f"'{text}'" if not text or _reads_otherwise(text) else text
    elif isinstance(value, Mapping):
        text = "{" + ",".join(f"{key}:{format_value(part)}" for key, part in value.items()) + "}"
    elif isinstance(value, Sequence):
        text = "[" + ",".join(map(format_value, value)) + "]"
    else:
        text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"


def printable(text: str) -> str:
    """Text that is safe to print on a terminal: control characters escaped, such as \\x1b."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _reads_otherwise(text: str) -> bool:
    """Whether a text has to be quoted to be one."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null")
    return True


OUT_OF_MEMORY_MESSAGE = (
    "There is not enough memory: lower data.batch_size, and for validation and test data.eval_batch_size "
    "(of evaluate.py: batch_size and nll.chunk)."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Of Python, torch on the CPU, or torch on a GPU; without importing torch."""
    text = str(error)
    torch_s = error.__class__.__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "CUDA out of memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and torch_s)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """` Did you mean 'conv'?`, or nothing where no known word is near."""
    match = get_close_matches(word, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def check_int(name: str, value: Any, minimum: int = 1, maximum: int | None = None) -> int:
    """An integer ≥ `minimum` and ≤ `maximum` (a bool is none)."""
    most = math.inf if maximum is None else maximum
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= most:
        raise InvalidValue(name, value, f"an integer of at least {minimum}{f' and at most {maximum}' if maximum else ''}")
    return value


def check_ints(name: str, values: Any, minimum: int = 1) -> tuple[int, ...]:
    """A list of at least one integer, each ≥ `minimum`."""
    good = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not good or any(isinstance(v, bool) or not isinstance(v, int) or v < minimum for v in values):
        raise InvalidValue(name, values, f"a list of integers of at least {minimum}, such as [{minimum}]")
    return tuple(values)


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """A finite number in [low, high], or in (low, high] with `above`."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value > high or value < low or (above and value == low):
        raise InvalidValue(name, value, f"a finite number {interval_in_words(low, high, above)}".rstrip())
    return float(value)


def check_choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidValue(name, value, f"one of {', '.join(allowed)}")
    return value


def check_bool(name: str, value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise InvalidValue(name, value, "true or false")
    return value


def interval_in_words(low: float, high: float, above: bool) -> str:
    lower = f"above {low:g}" if above else f"of at least {low:g}"
    if math.isinf(low):
        return "" if math.isinf(high) else f"of at most {high:g}"
    return lower if math.isinf(high) else f"{lower} and at most {high:g}"


INTERRUPTED_STATUS = 128 + int(signal.SIGINT)


INTERRUPTED_MESSAGE = "error: interrupted.\n"


def exit_interrupted() -> NoReturn:
    """Says so, and exits. A further process of DDP leaves the sentence to the first."""
    if is_main_process():
        sys.stderr.write(INTERRUPTED_MESSAGE)
    sys.exit(INTERRUPTED_STATUS)


def is_main_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") in ("", "0")
