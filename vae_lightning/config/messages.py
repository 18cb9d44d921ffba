"""What went wrong, in one sentence and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vae_lightning.config.compose import one_sentence
from vae_lightning.errors import OUT_OF_MEMORY_MESSAGE, UserError, exit_interrupted, is_out_of_memory


def with_messages(action: Callable[[], Any]) -> Any:
    """What `action` returns; what a person can mend ends as one sentence and its exit status, the rest as a traceback."""
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


def message_and_status(error: Exception) -> tuple[str | None, int]:
    """The sentence and the exit status of an error that a person can mend."""
    if isinstance(error, UserError):
        return str(error), error.status
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set: add {error.full_key}=…; --help lists what there is.", 2
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key or 'the configuration'}: {one_sentence(error)}", 2
    if type(error).__name__ == "MisconfigurationException":  # Lightning's; it is not imported to ask
        return f"trainer: {one_sentence(error)}", 2
    return (OUT_OF_MEMORY_MESSAGE, 1) if is_out_of_memory(error) else (None, 1)
