"""Starts a command: what has to happen before torch is imported. Imports nothing heavy."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import FrameType

from vae_lightning.errors import INTERRUPTED_MESSAGE, INTERRUPTED_STATUS, exit_interrupted, is_main_process


def start(command: str) -> None:
    """Import `vae_lightning.cli.<command>` and run it. Ctrl-C prints one line and exits with status 130.

    Before the command starts, Ctrl-C exits immediately: an exception could be swallowed or replaced during imports.
    """
    lower_spin_count()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # `nohup` and `&` ignore it
        signal.signal(signal.SIGINT, _end)
    try:
        import_module(f"vae_lightning.cli.{command}").main()
    except KeyboardInterrupt:
        exit_interrupted()


def lower_spin_count() -> None:
    """On a busy machine, lower the OpenMP spin count from 300,000 to 1,000.

    With GNU's default, waiting threads keep the processor from the thread that they wait for. OpenMP reads the variable once,
    when torch is imported. A GOMP_SPINCOUNT or OMP_WAIT_POLICY that is set already is kept.
    """
    if "OMP_WAIT_POLICY" not in os.environ and is_shared():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def is_shared() -> bool:
    """Whether another program kept a processor busy during the last minute, if the system has a load average."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= 1


def allow_interrupts() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again, since there may now be folders to remove and files to close."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signum: int, frame: FrameType | None) -> None:
    if is_main_process():
        os.write(2, INTERRUPTED_MESSAGE.encode())
    os._exit(INTERRUPTED_STATUS)
