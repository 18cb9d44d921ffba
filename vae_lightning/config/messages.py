"""Turn an exception into one sentence on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hydra.errors import MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from vae_lightning.config.private_apis import is_missing_key, is_unknown_backend, message_of
from vae_lightning.errors import (
    FULL,
    OUT_OF_MEMORY_MESSAGE,
    RunError,
    UserError,
    did_you_mean,
    exit_interrupted,
    is_out_of_memory,
    no_room_message,
)

Result = TypeVar("Result")


def with_messages(action: Callable[[], Result]) -> Result:
    """Call `action`. An error that the user can fix ends the command with a one-sentence message; any other keeps its traceback.

    HYDRA_FULL_ERROR=1 shows every traceback.
    """
    try:
        return action()
    except KeyboardInterrupt:
        exit_interrupted()
    except Exception as error:
        sentence, status = message_and_status(error)
        if sentence is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(f"error: {sentence}\n")
        sys.exit(status)


@contextmanager
def as_user_errors() -> Iterator[None]:
    """Turn each error in this block that a command would explain in one sentence into a UserError or a RunError."""
    try:
        yield
    except UserError:  # a RunError is one
        raise
    except Exception as error:
        sentence, status = message_and_status(error)
        if sentence is None:
            raise
        raise (RunError(sentence) if status == 1 else UserError(sentence)) from error


def message_and_status(error: Exception) -> tuple[str | None, int]:
    """Return the sentence and exit status for an error that the user can fix; (None, 1) for any other error."""
    if isinstance(error, UserError):
        return str(error), error.status
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set: add {error.full_key}=…; --help lists the keys.", 2
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and is_missing_key(error):
        key = error.full_key or str(error.key)
        return f"{key} is not set, and this command needs it: set it with {key}=…, and leave ~{key} out.", 2
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key or 'the configuration'}: {one_sentence(error)}", 2
    if type(error).__name__ == "MisconfigurationException":  # Lightning's, recognised by name so as not to import Lightning
        return f"trainer: {one_sentence(error)}", 2
    if isinstance(error, OSError) and error.errno in FULL:
        return no_room_message(error), 1
    if is_unknown_backend(error):
        return f"MPLBACKEND={os.environ.get('MPLBACKEND')}: matplotlib has no such backend: leave this variable out.", 2
    return (OUT_OF_MEMORY_MESSAGE, 1) if is_out_of_memory(error) else (None, 1)


def one_sentence(error: BaseException) -> str:
    """Return the message of the deepest cause, which is the most specific, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        options = [str(option) for option in error.options or ()]
        near = did_you_mean(error.missing_cfg_file.rpartition("/")[2], options)
        allowed = f" Allowed: {', '.join(options)}." if options else ""
        return f"there is no configuration file {error.missing_cfg_file!r}.{near}{allowed}"
    return one_line(error)


def one_line(error: BaseException) -> str:
    """Return the message of a library's error on one line, with its type if the message is a single word."""
    text = " ".join(message_of(error).split()).partition(" HINT: ")[0].rstrip(".!")
    return f"{text}." if " " in text else f"{type(error).__name__} {text}".rstrip() + "."
