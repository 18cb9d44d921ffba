"""SIGTERM and Ctrl-C: while a model trains they wait until its state can be kept, at other times they end the command at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch.multiprocessing import ProcessExitedException

REQUEUE: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # SLURM's; Windows has no such signal


class Interrupted(SystemExit):
    """Ends the command with the status that shells give it: 128 + the signal's number (143 for SIGTERM, 130 for Ctrl-C)."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


class _Interrupts:
    """What has come, and whether it waits. One per process, as signal handlers are."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.requeue: Callable[[], Any] | None = None  # asked for by SLURM: Lightning's own handler, to be called between steps
        self._holding = False
        self._forward: Callable[[int], Any] | None = None

    @property
    def pending(self) -> bool:
        return self.received is not None or self.requeue is not None

    def hold(self) -> None:
        """From now on signals are kept. Called when training begins, since Lightning sets its handlers just before."""
        self._holding, self._forward = True, None
        self._install()
        self._keep_requeue()

    def release(self) -> None:
        self._holding = False

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
            return
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        again = self.received is not None and signum == signal.SIGINT  # someone who does not want to wait
        self.received = signum
        if self._forward is not None and not again:
            self._forward(signum)
        elif again or not self._holding:
            raise Interrupted(signum)

    def _keep_requeue(self) -> None:
        """Under SLURM, Lightning has set a handler that saves and requeues wherever the step is: it is called later instead."""
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
        """Where training runs in processes of its own, signals are theirs, and the command ends after them."""
        if not isinstance(launcher, _MultiProcessingLauncher):
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
        """For the time of a run; the handlers that were there before are put back."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT, REQUEUE) if signum is not None}
        self.__init__()  # type: ignore[misc]
        self._install()
        try:
            yield
        finally:
            self.release()
            for signum, handler in before.items():
                signal.signal(signum, handler)


interrupts = _Interrupts()
