"""Nothing needs a POSIX system: importing, training and measuring work without the modules that Windows lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import SHORT, run_python

# other libraries know which system they are on, so they are imported first
WITHOUT_POSIX = """
import importlib, os, pkgutil, signal, sys, time
import filelock, hydra, lightning.pytorch, mlxtend, optuna, sklearn.linear_model, torch, torch.utils.tensorboard
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
FUNCTIONS = (
    "fork", "forkpty", "geteuid", "getgid", "getegid", "getloadavg", "getpgid", "getpgrp", "getuid", "killpg", "mkfifo", "nice",
    "posix_spawn", "sched_getaffinity", "sched_setaffinity", "setsid", "uname", "wait3", "wait4", "waitid", "register_at_fork",
)
KEPT = ("SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIG_DFL", "SIG_IGN")
SIGNALS = [name for name in dir(signal) if name.startswith("SIG") and name not in KEPT]
valid = {getattr(signal, name) for name in KEPT[:6]}
signal.valid_signals = lambda: set(valid)
CALLS = ("alarm", "pause", "setitimer", "sigwait", "pthread_sigmask", "siginterrupt", "pthread_kill")
for name in MODULES:
    sys.modules[name] = None
for name in FUNCTIONS:
    delattr(os, name)
for name in (*SIGNALS, *CALLS):
    delattr(signal, name)
del time.tzset
from lightning.pytorch.trainer.connectors import signal_connector
signal_connector._IS_WINDOWS = True  # Lightning asks the system which one it is

import vae_lightning
for module in pkgutil.walk_packages(vae_lightning.__path__, "vae_lightning."):
    if module.name != "vae_lightning.__main__":
        importlib.import_module(module.name)
from vae_lightning.cli import evaluate, generate, train
sys.argv = ["train.py", *sys.argv[1:]]
train.main()
from pathlib import Path
(run,) = Path("outputs").glob("*/*")
sys.argv = ["evaluate.py", f"run={run}", "nll.samples=2", "latents.images=50"]
evaluate.main()
sys.argv = ["generate.py", f"run={run}"]
generate.main()
"""


def test_without_what_windows_lacks_everything_is_imported_and_a_run_is_trained_measured_and_drawn(tmp_path: Path) -> None:
    outcome = run_python(WITHOUT_POSIX, (*SHORT, "trainer.max_epochs=1"), tmp_path)
    assert outcome.status == 0, outcome.err
    (run,) = tmp_path.glob("outputs/*/*")
    assert (run / "results.json").exists()
    assert (run / "generated" / "samples.png").exists()


@pytest.mark.parametrize("name", ["fcntl", "pwd", "resource"])
def test_no_module_of_posix_is_imported(name: str) -> None:
    """Not even lazily."""
    package = Path(__file__).parents[1] / "vae_lightning"
    assert [path for path in package.rglob("*.py") if f"import {name}" in path.read_text(encoding="utf-8")] == []
