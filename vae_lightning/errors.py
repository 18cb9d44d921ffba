"""Errors that users see, and checks of arguments that raise them. Imports the standard library only, to be quick."""

from __future__ import annotations

import errno
import math
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import NoReturn


class UserError(Exception):
    """An error that the user can fix: one sentence, shown without a traceback.

    Args:
        message: what is wrong, with which value, and what is allowed or what to do.
        status: the exit status of the command: 2 if the configuration, or the data that it names, is wrong; 1 if the machine, a
            file of the run or the numbers failed.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class InvalidValue(UserError, ValueError):
    """An argument has a value that is not allowed.

    Args:
        name: the argument, or the key of the configuration.
        value: its value.
        allowed: what it must be, such as "an integer of at least 1".
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name}={format_value(value)}: must be {allowed}.")
        self.name, self.value, self.allowed = name, value, allowed


class RunError(UserError):
    """The configuration is right, but the machine, a file of the run or the numbers failed: exit status 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=1)


@contextmanager
def prefix_key(key: str) -> Iterator[None]:
    """Put `key.` before the name in any InvalidValue that is raised in this block."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"{key}.{error.name}", error.value, error.allowed) from error


def format_value(value: object) -> str:
    """Format a value as typed on the command line: null, true, [1,a], {a:1}. Escape control characters and cut long values."""
    if value is None or isinstance(value, bool):
        text = "null" if value is None else str(value).lower()
    elif isinstance(value, str):
        text = printable(value)
        text = f"'{text}'" if not text or _reads_otherwise(text) else text
    elif isinstance(value, Mapping):
        text = "{" + ",".join(f"{key}:{format_value(part)}" for key, part in value.items()) + "}"
    elif isinstance(value, Sequence):
        text = "[" + ",".join(map(format_value, value)) + "]"
    else:  # Python does not convert an integer of more than 4300 digits to text
        text = hex(value) if isinstance(value, int) and value.bit_length() > 10_000 else str(value)
    return text if len(text) <= 200 else text[:200] + "…"


def printable(text: str) -> str:
    """Make text safe to print on a terminal: control characters are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _reads_otherwise(text: str) -> bool:
    """Whether YAML would read the text as a number, a boolean or null, unless it is quoted."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null")
    return True


OUT_OF_MEMORY_MESSAGE = (
    "There is not enough memory: lower data.batch_size, and data.eval_batch_size for validation and test "
    "(in evaluate.py: batch_size and nll.chunk)."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch on the CPU or a GPU, ran out of memory. Does not import torch."""
    text = str(error)
    of_torch = error.__class__.__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "CUDA out of memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def no_room_message(error: OSError) -> str:
    """Return the message for what is printed to a full device, or written to one without a name."""
    return f"There is no room for what this command writes ({error.strerror}): free some space, or send it elsewhere."


STANDARD_OUTPUT = "<stdout>"  # the file name of an error while printing


def plural(count: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`, `1,000 steps`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """` Did you mean 'conv'?`, with a leading space; empty if no known word is close."""
    match = get_close_matches(word, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


LARGEST_INT = 2**31 - 1  # for sizes and counts: libraries fail in many ways beyond 64 bits, and nothing real is this large
LARGEST_SEED = 2**128 - 1


def check_int(name: str, value: object, minimum: int = 1, maximum: int | None = None) -> int:
    """Return `value` if it is an integer in [`minimum`, `maximum`], and not a bool; else raise InvalidValue.

    Without a `maximum` it is at most 2³¹ − 1.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    most = LARGEST_INT if maximum is None else maximum
    if not whole or not minimum <= value <= most:  # type: ignore[operator]  # `whole` implies it
        too_large = whole and value > most  # type: ignore[operator]  # `whole` implies it
        limit = f" and at most {most}" if too_large or maximum is not None else ""
        raise InvalidValue(name, value, f"an integer of at least {minimum}{limit}")
    return value  # type: ignore[return-value]  # `whole` implies it


def check_int_or_null(name: str, value: object, minimum: int = 1, maximum: int | None = None) -> None:
    """Raise InvalidValue unless `value` is null, or an integer in [`minimum`, `maximum`]."""
    try:
        if value is not None:
            check_int(name, value, minimum, maximum)
    except InvalidValue as error:
        raise InvalidValue(name, value, f"{error.allowed}, or null") from None


def check_seed(name: str, value: object) -> int:
    """Return `value` if it is an integer in [0, 2¹²⁸ − 1]; else raise InvalidValue."""
    try:
        return check_int(name, value, 0, LARGEST_SEED)
    except InvalidValue:
        if isinstance(value, int) and value > LARGEST_SEED:
            raise
        raise InvalidValue(name, value, "an integer of at least 0") from None


def check_ints(name: str, values: object, minimum: int = 1) -> tuple[int, ...]:
    """Return `values` if it is a non-empty list of integers of at least `minimum`; else raise InvalidValue."""
    whole = isinstance(values, Sequence) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if not isinstance(values, Sequence) or not whole or len(values) == 0 or min(values) < minimum:
        raise InvalidValue(name, values, f"a list of integers of at least {minimum}, such as [{minimum}]")
    if len(values) > MOST_LAYERS or max(values) > LARGEST_INT:
        raise InvalidValue(name, values, f"a list of at most {MOST_LAYERS} integers, each at most {LARGEST_INT}")
    return tuple(values)


MOST_LAYERS = 1000  # the most blocks, steps or listed widths of a network


def is_finite(value: float) -> bool:
    """Whether a number is finite; an integer too large for a float is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """Return `value` if it is finite and in [low, high], or in (low, high] with `above`; else raise InvalidValue."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = is_finite(value) and low <= value <= high and not (above and value == low)
        if inside:
            return float(value)
    raise InvalidValue(name, value, f"a finite number {interval_in_words(low, high, above)}".rstrip())


def check_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` if it is one of the `allowed` words; else raise InvalidValue."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidValue(name, value, f"one of {', '.join(allowed)}")
    return value


def check_bool(name: str, value: object) -> bool:
    """Return `value` if it is true or false; else raise InvalidValue."""
    if not isinstance(value, bool):
        raise InvalidValue(name, value, "true or false")
    return value


def interval_in_words(low: float, high: float, above: bool) -> str:
    """`of at least 0 and at most 1`, or `above 0` with `above`; empty without limits."""
    lower = f"above {low:g}" if above else f"of at least {low:g}"
    if math.isinf(low):
        return "" if math.isinf(high) else f"of at most {high:g}"
    return lower if math.isinf(high) else f"{lower} and at most {high:g}"


INTERRUPTED_STATUS = 128 + int(signal.SIGINT)


INTERRUPTED_MESSAGE = "error: interrupted.\n"


def exit_interrupted() -> NoReturn:
    """Print that the command was interrupted, and exit. Under DDP only the main process prints."""
    if is_main_process():
        sys.stderr.write(INTERRUPTED_MESSAGE)
    sys.exit(INTERRUPTED_STATUS)


def is_main_process() -> bool:
    """Whether this is the only process, or the first that DDP started on this machine."""
    return os.environ.get("LOCAL_RANK", "0") in ("", "0")
