"""No two commands train in one run folder, and no process outlives the one that started it."""

from __future__ import annotations

import os
import threading
import time

FIRST = "VAE_LIGHTNING_FIRST_PROCESS"  # tells the processes that plain DDP starts which one that was


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
