"""How a script begins, before torch is imported. Imports nothing of weight.

Ctrl-C while it imports and composes ends it as it does later; and torch's threads leave room for other programs.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

STATUS = 128 + int(signal.SIGINT)
WORDS = "error: interrupted.\n"


def start(command: str) -> None:
    """Imports `vae_lightning.commands.<command>` and runs it. Ctrl-C ends it with one sentence and status 130.

    Until the command has begun at once, since an exception may get lost, or change its kind, in what is being imported.
    """
    wait_shortly()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # `nohup` and `&` have it ignored
        signal.signal(signal.SIGINT, _end)
    try:
        import_module(f"vae_lightning.commands.{command}").main()
    except KeyboardInterrupt:
        interrupted()


def wait_shortly() -> None:
    """Beside other programs, torch's threads look 1,000 times whether the others are ready before they sleep, not 300,000.

    That is GNU's OpenMP's number, by which the threads that wait take the processor from the one that is waited for. It reads
    this once, when torch is imported. Whoever has set it, or OMP_WAIT_POLICY, keeps what was set.
    """
    if "OMP_WAIT_POLICY" not in os.environ and is_shared():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def is_shared() -> bool:
    """Whether another program has kept a processor busy during the last minute, where the system says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= 1


def begun() -> None:
    """From now on Ctrl-C is an exception again: there may be folders to remove and files to close."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted() -> NoReturn:
    """Says so, and exits. A further process of DDP leaves the sentence to the first."""
    if _is_first():
        sys.stderr.write(WORDS)
    sys.exit(STATUS)


def _is_first() -> bool:
    return os.environ.get("LOCAL_RANK", "0") in ("", "0")


def _end(signum: int, frame: FrameType | None) -> None:
    if _is_first():
        os.write(2, WORDS.encode())
    os._exit(STATUS)
