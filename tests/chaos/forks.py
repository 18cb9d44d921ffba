"""Runs commands in forked processes, where torch and Lightning are already imported: a kill costs one second, not twelve."""

from __future__ import annotations

import atexit
import gc
import multiprocessing.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from hydra.core.plugins import Plugins

from tests.running import REPOSITORY
from vae_lightning.data import mnist5k
from vae_lightning.training import finish as closing  # imported before children are forked


@dataclass
class Child:
    """A running command. `out` is everything that it printed."""

    pid: int
    log: Path
    status: int | None = None

    @property
    def out(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def kill(self, signum: int = signal.SIGKILL, whom: str = "command") -> None:
        """Kills the command's main process; with "group", all its processes at once; with "other", one that it started."""
        if whom == "group":
            os.killpg(self.pid, signum)
        else:
            others = self.others() if whom == "other" else []
            os.kill(others[-1] if others else self.pid, signum)

    def others(self) -> list[int]:
        """The other processes of its group, in the order in which they were started."""
        found = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
        rows = [row.split() for row in found.splitlines()]
        return [int(pid) for pid, group, state in rows if int(group) == self.pid != int(pid) and state[0] != "Z"]

    def wait(self, timeout: float = 300.0) -> int:
        """Its exit status as in a shell. Kills it and raises TimeoutError if it takes longer."""
        for _ in range(round(timeout / 0.01)):  # not by the clock, which goes on while a busy machine runs neither of the two
            if self.ended():
                assert self.status is not None
                return self.status
            time.sleep(0.01)
        self.kill()
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"hangs: {self.out[-2000:]}")

    def ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        return self.status is not None


digits = cache(mnist5k._digits)


@cache
def warm_up() -> None:
    """Does once what every child would do: reads the digits, finds Hydra's plugins, collects garbage."""
    digits()
    Plugins.instance()
    gc.collect()
    gc.freeze()


def start(cwd: Path, *arguments: str, command: str = "train", plant: Callable[[], None] | None = None) -> Child:
    """Starts `python <command>.py <arguments>` in the folder `cwd`; the new process calls `plant` first."""
    warm_up()
    log = cwd / "out.txt"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, log)
    status = 1
    try:
        os.setpgid(0, 0)
        multiprocessing.util._run_after_forkers()  # type: ignore[attr-defined]  # as multiprocessing does after a fork
        mnist5k._digits = digits
        os.chdir(cwd)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        status = _run(command, arguments, plant)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(command: str, arguments: Sequence[str], plant: Callable[[], None] | None) -> int:
    from importlib import import_module

    torch.set_num_threads(1)
    forget_gpu_search()
    closing.draw_pictures = lambda *args: {}  # a second of work at the end, of no interest here
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    # as a script started from a shell, since plain DDP runs it again for each further process
    sys.modules["__main__"].__spec__ = None
    sys.argv = [str(REPOSITORY / f"{command}.py"), *arguments]
    if plant is not None:
        plant()
    try:
        import_module(f"vae_lightning.cli.{command}").main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def forget_gpu_search() -> None:
    """Lets a forked process fork again: Lightning refuses if the tests' process had searched for GPUs, and no GPU is used here.

    torch has no public way to undo that search.
    """
    torch.cuda._is_in_bad_fork = lambda: False


def run(cwd: Path, *arguments: str, command: str = "train", plant: Callable[[], None] | None = None) -> tuple[int, str]:
    """Runs a command to its end; returns its status and its output."""
    child = start(cwd, *arguments, command=command, plant=plant)
    return child.wait(), child.out


@cache
def left_alone(*arguments: str) -> Path:
    """The folder of an uninterrupted run, made once: to compare with, never to change."""
    folder = Path(tempfile.mkdtemp(prefix="left-alone-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    status, out = run(folder, *arguments)
    assert status == 0, out
    return only_run(folder)


def only_run(cwd: Path) -> Path:
    """The folder of the one run below `cwd`."""
    (config,) = cwd.glob("outputs/**/config.yaml")
    return config.parent
