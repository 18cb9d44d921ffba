"""No process of a run outlives the one that started it."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import NoReturn

FIRST = "VAE_LIGHTNING_FIRST_PROCESS"  # tells the other processes of plain DDP the id of the main process


def end_with_parent(interval: float = 0.5) -> None:
    """End this process when its parent ends: otherwise it would wait for the parent for minutes.

    If the main process ended before this call, end this one at once.
    """
    parent = os.getppid()
    if FIRST in os.environ and not _is_alive(int(os.environ[FIRST])):
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_without_shutdown() -> NoReturn:
    """End this process with status 0 without Python's shutdown, as multiprocessing ends a worker.

    torch's C++ threads may still run during that shutdown, and can abort the process with a message on the terminal.
    """
    from torch import distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
