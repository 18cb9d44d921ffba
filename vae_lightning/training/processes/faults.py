"""Turns a fault of the machine (a full disk, no memory, a dead process) into one sentence that says what to do about it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vae_lightning.errors import (
    OUT_OF_MEMORY_MESSAGE,
    STANDARD_OUTPUT,
    RunError,
    UserError,
    is_out_of_memory,
    no_room_message,
)
from vae_lightning.training.private_apis import DATA_WORKER_DIED, LOST_CONNECTION, UNUSED_PARAMETERS, writes_events
from vae_lightning.training.ranks import several_processes

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ProcessLost(RunError):
    """Another process of the run died. That process, or the one that started it, may know why."""


def explain(error: BaseException, folder: Path) -> UserError | None:
    """Return the error to report for a fault of the machine; None for a bug in the program, which keeps its traceback."""
    while error.__class__ is RuntimeError and isinstance(error.__cause__ or error.__context__, OSError):
        # torch's zip writer hides the disk's error
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # never None here
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return RunError(f"{_disk(error, folder)}{resume_hint(folder)}")
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return RunError(f"{OUT_OF_MEMORY_MESSAGE}{resume_hint(folder)}")
    if DATA_WORKER_DIED in text or (isinstance(error, ConnectionError | EOFError) and not several_processes()):
        return RunError(
            f"A data worker died ({_first_sentence(text)}): set data.num_workers=0 to load data without workers."
            f"{resume_hint(folder)}"
        )
    if isinstance(error, RuntimeError) and any(words in text.lower() for words in LOST_CONNECTION):
        return ProcessLost(
            f"Another process of the run died ({_first_sentence(text)}); see its message above.{resume_hint(folder)}"
        )
    if isinstance(error, RuntimeError | torch.multiprocessing.ProcessRaisedException) and UNUSED_PARAMETERS in text:
        return UserError(
            "Some parameters do not contribute to the loss, and the processes of ddp wait for their gradients: append "
            "_find_unused_parameters_true to trainer.strategy, as in ddp_find_unused_parameters_true."
        )
    if isinstance(error, torch.multiprocessing.ProcessRaisedException):
        return _error_of_worker(str(error))
    if isinstance(error, torch.multiprocessing.ProcessExitedException):
        return RunError(f"A process of the run died ({_first_sentence(text)}).{resume_hint(folder)}")
    return None


def _error_of_worker(traceback: str) -> UserError | None:
    """Return this package's error that ended a worker process, read from the last line of its traceback."""
    kind, colon, sentence = traceback.rstrip().rpartition("\n")[2].partition(": ")
    if not colon or not kind.startswith("vae_lightning."):
        return None
    return UserError(sentence) if kind.endswith((".UserError", ".InvalidValue")) else RunError(sentence)


def _disk(error: OSError, folder: Path) -> str:
    if error.filename == STANDARD_OUTPUT:
        return no_room_message(error)
    where = Path(str(error.filename)) if error.filename else folder
    reason = error.strerror or error.__class__.__name__
    if error.errno in _DISK_FULL:
        return f"{where} cannot be written ({reason}): free some space on that disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be opened ({reason}): check its permissions."
    return f"{where}: {reason}."


def resume_hint(folder: Path) -> str:
    """Return the command that resumes the run; empty if there is no checkpoint to resume from."""
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        if os.path.exists(folder / "checkpoints" / name):  # False also if the folder can no longer be entered
            return f" The last good checkpoint is {name}; {resume_command(folder)}"
    return ""


def resume_command(folder: Path) -> str:
    from vae_lightning.runs.console import relative_path

    return f"resume with: python train.py resume={relative_path(folder)}"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")[:200]


@contextmanager
def explain_faults(folder: Path) -> Iterator[None]:
    """Replace exceptions that `explain` can explain in this block; others propagate unchanged."""
    try:
        yield
    except Exception as error:
        fault = None if isinstance(error, UserError) else explain(error, folder)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def quiet_writers() -> Iterator[None]:
    """Hide the tracebacks of TensorBoard's writer threads: the next flush raises the same error in this thread."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not writes_events(args.thread):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
