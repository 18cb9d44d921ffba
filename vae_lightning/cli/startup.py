"""How a script begins, before torch is imported. Imports nothing of weight.

Ctrl-C while it imports and composes ends it as it does later; and torch's threads leave room for other programs.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import FrameType

from vae_lightning.errors import INTERRUPTED_MESSAGE, INTERRUPTED_STATUS, exit_interrupted, is_main_process


def start(command: str) -> None:
    """Imports `vae_lightning.cli.<command>` and runs it. Ctrl-C ends it with one sentence and status 130.

    Until the command has begun at once, since an exception may get lost, or change its kind, in what is being imported.
    """
    lower_spin_count()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # `nohup` and `&` have it ignored
        signal.signal(signal.SIGINT, _end)
    try:
        import_module(f"vae_lightning.cli.{command}").main()
    except KeyboardInterrupt:
        exit_interrupted()


def lower_spin_count() -> None:
    """Beside other programs, torch's threads look 1,000 times whether the others are ready before they sleep, not 300,000.

    That is GNU's OpenMP's number, by which the threads that wait take the processor from the one that is waited for. It reads
    this once, when torch is imported. Whoever has set it, or OMP_WAIT_POLICY, keeps what was set.
    """
    if "OMP_WAIT_POLICY" not in os.environ and is_shared():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def is_shared() -> bool:
    """Whether another program has kept a processor busy during the last minute, where the system says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= 1


def allow_interrupts() -> None:
    """From now on Ctrl-C is an exception again: there may be folders to remove and files to close."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signum: int, frame: FrameType | None) -> None:
    if is_main_process():
        os.write(2, INTERRUPTED_MESSAGE.encode())
    os._exit(INTERRUPTED_STATUS)
