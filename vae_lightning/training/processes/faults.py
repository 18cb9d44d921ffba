"""What went wrong with the machine, in one sentence that says what to do about it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vae_lightning.errors import OUT_OF_MEMORY_MESSAGE, RunError, UserError, is_out_of_memory
from vae_lightning.training.ranks import several_processes

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "nccl communicator was aborted",
    "broken pipe",
)


class ProcessLost(RunError):
    """Another process of the run went away; why, it may have said itself."""


def explain(error: BaseException, folder: Path) -> UserError | None:
    """The sentence for a fault of the machine; None for an error of the program, which deserves its traceback."""
    while error.__class__ is RuntimeError and isinstance(error.__cause__ or error.__context__, OSError):
        # torch's zip writer hides what the disk said
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return RunError(f"{_disk(error, folder)}{resume_hint(folder)}")
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return RunError(f"{OUT_OF_MEMORY_MESSAGE}{resume_hint(folder)}")
    if "DataLoader worker" in text or (isinstance(error, ConnectionError | EOFError) and not several_processes()):
        return RunError(
            f"A worker that loads data died ({_first_sentence(text)}): data.num_workers=0 needs none.{resume_hint(folder)}"
        )
    if isinstance(error, RuntimeError) and any(words in text.lower() for words in _LOST):
        return ProcessLost(
            f"Another process of the run died ({_first_sentence(text)}); what it said is above.{resume_hint(folder)}"
        )
    if isinstance(error, RuntimeError | torch.multiprocessing.ProcessRaisedException) and "find_unused_parameters" in text:
        return UserError(
            "Some parameters have no part in the loss, and the processes of ddp wait for their gradients: append "
            "_find_unused_parameters_true to trainer.strategy, as in ddp_find_unused_parameters_true."
        )
    if isinstance(error, torch.multiprocessing.ProcessRaisedException):
        return _told_by_process(str(error))
    if isinstance(error, torch.multiprocessing.ProcessExitedException):
        return RunError(f"A process of the run died ({_first_sentence(text)}).{resume_hint(folder)}")
    return None


def _told_by_process(traceback: str) -> UserError | None:
    """The sentence with which a process that DDP started ended, as its traceback's last line has it."""
    kind, colon, sentence = traceback.rstrip().rpartition("\n")[2].partition(": ")
    if not colon or not kind.startswith("vae_lightning."):
        return None
    return UserError(sentence) if kind.endswith((".UserError", ".InvalidValue")) else RunError(sentence)


def _disk(error: OSError, folder: Path) -> str:
    where = Path(str(error.filename)) if error.filename else folder
    reason = error.strerror or error.__class__.__name__
    if error.errno in _DISK:
        return f"{where} cannot be written ({reason}): make room on that disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be opened ({reason}): see to its permissions."
    return f"{where}: {reason}."


def resume_hint(folder: Path) -> str:
    """How to go on, where there is something to go on from."""
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        if os.path.exists(folder / "checkpoints" / name):  # False, too, where the folder can no longer be entered
            return f" The last good checkpoint is {name}; {resume_command(folder)}"
    return ""


def resume_command(folder: Path) -> str:
    from vae_lightning.runs.console import relative_path

    return f"go on with: python train.py resume={relative_path(folder)}"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")[:200]


@contextmanager
def explain_faults(folder: Path) -> Iterator[None]:
    """Faults of the machine leave this block as what `explain` makes of them."""
    try:
        yield
    except Exception as error:
        fault = None if isinstance(error, UserError) else explain(error, folder)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def quiet_writers() -> Iterator[None]:
    """TensorBoard writes in threads of its own, whose errors are met again at the next flush: they are said once, there."""
    before = threading.excepthook

    def hook(args: Any) -> None:
        if not (args.thread is not None and args.thread.__class__.__name__ == "_AsyncWriterThread"):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
