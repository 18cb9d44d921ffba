"""Commands run in forked processes, which have torch and Lightning imported already: killing one costs a second, not twelve."""

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
from vae_lightning.training import finish as closing  # so that children have it


@dataclass
class Child:
    """A running command. `out` is all that it printed."""

    pid: int
    log: Path
    status: int | None = None

    @property
    def out(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def kill(self, signum: int = signal.SIGKILL, whom: str = "command") -> None:
        """The command; with "group", at once all processes that belong to it; with "other", one of those that it started."""
        if whom == "group":
            os.killpg(self.pid, signum)
        else:
            others = self.others() if whom == "other" else []
            os.kill(others[-1] if others else self.pid, signum)

    def others(self) -> list[int]:
        """The processes of its group, without itself, in the order in which they were started."""
        found = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
        rows = [row.split() for row in found.splitlines()]
        return [int(pid) for pid, group, state in rows if int(group) == self.pid != int(pid) and state[0] != "Z"]

    def wait(self, timeout: float = 120.0) -> int:
        """Its status as a shell has it; killed and counted as failed where it takes longer."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
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
    """What children would do alike, once: the digits, Hydra's search for plugins, and a look at all that was imported."""
    digits()
    Plugins.instance()
    gc.collect()
    gc.freeze()


def start(cwd: Path, *arguments: str, command: str = "train", plant: Callable[[], None] | None = None) -> Child:
    """`python <command>.py <arguments>` in the folder `cwd`; `plant` is called in the new process first."""
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
        multiprocessing.util._run_after_forkers()  # type: ignore[attr-defined]  # as multiprocessing's own forks do
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
    # the tests' process may have looked for GPUs before it was forked, which a command of one's own has not
    torch.cuda._is_in_bad_fork = lambda: False
    closing.draw_pictures = lambda *args: {}  # a second of work at the end, with nothing to lose
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    # a script as a shell starts it, since plain DDP starts it again for each further process
    sys.modules["__main__"].__spec__ = None
    sys.argv = [str(REPOSITORY / f"{command}.py"), *arguments]
    if plant is not None:
        plant()
    try:
        import_module(f"vae_lightning.cli.{command}").main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def run(cwd: Path, *arguments: str, command: str = "train", plant: Callable[[], None] | None = None) -> tuple[int, str]:
    """The status and the output of a command that is left to end."""
    child = start(cwd, *arguments, command=command, plant=plant)
    return child.wait(), child.out


@cache
def left_alone(*arguments: str) -> Path:
    """The folder of a run that nothing befalls, made once: to be compared with, never to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="left-alone-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    status, out = run(folder, *arguments)
    assert status == 0, out
    return only_run(folder)


def only_run(cwd: Path) -> Path:
    """The folder of the one run below `cwd`."""
    (config,) = cwd.glob("outputs/**/config.yaml")
    return config.parent
