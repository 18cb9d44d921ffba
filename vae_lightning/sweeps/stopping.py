"""How a sweep is stopped by a signal. Imports no torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a sweep as Ctrl-C does."""


@contextmanager
def terminable() -> Iterator[None]:
    """For the time of a sweep; while a model trains in this process, `interrupts` takes over."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_status(interruption: BaseException) -> int:
    """As shells have it: 143 for SIGTERM, which may have come to a job first, 130 for Ctrl-C."""
    asked: BaseException | None = interruption
    while asked is not None:
        if isinstance(asked, Terminated) or (isinstance(asked, SystemExit) and asked.code == 128 + signal.SIGTERM):
            return 128 + signal.SIGTERM
        asked = asked.__cause__
    return 128 + signal.SIGINT
