"""Starts a command: what has to happen before torch is imported. Imports nothing heavy."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from vae_lightning.errors import (
    INTERRUPTED_MESSAGE,
    INTERRUPTED_STATUS,
    STANDARD_OUTPUT,
    exit_interrupted,
    is_main_process,
    no_room_message,
)


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


class _Output(io.FileIO):
    """The standard output; its errors name it, so that they are not taken for those of a file of the run."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


def _with_named_errors(stream: TextIO) -> TextIO:
    """Return a stream to the same place as the standard output that Python has opened; another kind of stream as it is."""
    if stream is not sys.__stdout__ or not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    raw = _Output(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw) if isinstance(stream.buffer, io.BufferedWriter) else raw,  # not with PYTHONUNBUFFERED
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def output() -> Iterator[None]:
    """Let what a command prints in this block reach the terminal or the pipe, or end it with a status of 1.

    Characters that the terminal's encoding lacks are printed as escapes. What goes to a stream that was closed (`>&-`) is lost.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = _with_named_errors(sys.stdout)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as in `… --help | head`
        sys.exit(1)
    except OSError as error:
        if error.filename != STANDARD_OUTPUT:
            raise
        sys.stderr.write(f"error: {no_room_message(error)}\n")
        sys.exit(1)
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):  # what is left would be tried again when Python ends, with a message of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
