"""No two commands train in one run folder, and no process outlives the one that started it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_lightning.errors import RunError

FIRST = "VAE_LIGHTNING_FIRST_PROCESS"  # tells the processes that plain DDP starts which one that was


@contextmanager
def sole_owner(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Holds the run folder; RunError where another process still trains in it after `patience` seconds.

    A lock on the folder itself, which the system lets go of however the process ends.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # not on this system, or not for folders
        yield
        return
    try:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RunError(f"Another process is training in {folder}: let it end, or stop it, first.") from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


def end_with_parent(interval: float = 0.5) -> None:
    """From now on, this process ends when the one that started it does: else it would wait for it for minutes.

    At once, where that one ended before this call.
    """
    parent = os.getppid()
    if FIRST in os.environ and not _is_there(int(os.environ[FIRST])):
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
