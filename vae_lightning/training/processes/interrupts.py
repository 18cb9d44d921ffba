"""SIGTERM and Ctrl-C: during training they wait for the next checkpoint; at other times they end the command at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch.multiprocessing import ProcessExitedException

from vae_lightning.training.private_apis import forks_or_spawns

REQUEUE: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # SLURM's signal; Windows has none


class Interrupted(SystemExit):
    """Ends the command with the shell's usual exit status: 128 + the signal's number (143 for SIGTERM, 130 for Ctrl-C)."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


class Interrupts:
    """The signal that was received, and whether it has to wait. There is one per process, like signal handlers."""

    received: int | None = None
    requeue: Callable[[], object] | None = None  # Lightning's handler for SLURM's signal, to be called between two steps
    _holding = False
    _forward: Callable[[int], object] | None = None

    @property
    def pending(self) -> bool:
        return self.received is not None or self.requeue is not None

    def hold(self) -> None:
        """Make signals wait from now on. Called when training begins, since Lightning sets its own handlers just before."""
        self._holding, self._forward = True, None
        self._install()
        self._defer_requeue()

    def release(self) -> None:
        self._holding = False

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():  # Python allows setting handlers only in the main thread
            return
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        again = self.received is not None and signum == signal.SIGINT  # the user does not want to wait any longer
        self.received = signum
        if self._forward is not None and not again:
            self._forward(signum)
        elif again or not self._holding:
            raise Interrupted(signum)

    def _defer_requeue(self) -> None:
        """Under SLURM, Lightning's handler would save and requeue in the middle of a step: call it later instead."""
        if REQUEUE is None:
            return
        theirs = signal.getsignal(REQUEUE)
        if callable(theirs) and threading.current_thread() is threading.main_thread():
            handler = theirs

            def ask(signum: int, frame: FrameType | None) -> None:
                self.requeue = lambda: handler(signum, frame)

            signal.signal(REQUEUE, ask)

    @contextmanager
    def forwarded(self, launcher: Any) -> Iterator[None]:
        """Pass signals on to the worker processes, if there are any, and end the command after them."""
        if not forks_or_spawns(launcher):
            yield
            return
        self._forward = launcher.kill
        try:
            yield
        except ProcessExitedException:
            if self.received is None:
                raise
        finally:
            self._forward = None
        if self.received is not None:
            raise Interrupted(self.received)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handle signals during a run, and restore the previous handlers afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT, REQUEUE) if signum is not None}
        self.received, self.requeue, self._holding, self._forward = None, None, False, None
        self._install()
        try:
            yield
        finally:
            self.release()
            for signum, handler in before.items():
                signal.signal(signum, handler)


interrupts = Interrupts()
