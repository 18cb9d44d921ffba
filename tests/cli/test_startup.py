"""Ctrl-C before a command has started: one sentence, the usual exit status, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.running import REPOSITORY
from vae_lightning.cli import startup as starting

# `… MODULE SCRIPT ARGUMENTS`: prints the handler of Ctrl-C when that module is imported, and sends the signal
PRESSED = """
import os, runpy, signal, sys
module, script, *sys.argv[1:] = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal: a shell's background jobs ignore it

class Finder:
    def find_spec(self, name, *_):
        if name == module:
            print(signal.getsignal(signal.SIGINT).__name__, flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv[0] = script
run = runpy.run_module if script == "vae_lightning" else runpy.run_path
run(script, run_name="__main__")
"""
AT_ONCE, RAISED = "_end", "default_int_handler"
CASES = [
    ("hydra", "train", (), AT_ONCE),
    ("vae_lightning.cli.generate", "generate", (), AT_ONCE),
    ("hydra.core.config_search_path", "vae_lightning", ("report",), AT_ONCE),
    ("hydra_plugins", "train", ("beta=2",), AT_ONCE),
    ("hydra._internal.logging_config", "train", ("-m", "beta=2,4"), RAISED),  # the sweep's folder exists by then
    ("torch", "train", ("resume=nowhere",), RAISED),
]


def pressed(cwd: Path, module: str, script: str, *arguments: str) -> subprocess.Popen[str]:
    path = script if script == "vae_lightning" else str(REPOSITORY / f"{script}.py")
    return subprocess.Popen(
        [sys.executable, "-c", PRESSED, module, path, *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_ctrl_c_ends_a_command_that_has_not_begun_with_one_sentence(tmp_path: Path) -> None:
    started = [pressed(tmp_path, module, script, *arguments) for module, script, arguments, _ in CASES]
    for process, case in zip(started, CASES, strict=True):
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out.strip(), err) == (130, case[-1], "error: interrupted.\n"), case
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("before", "during"), [(signal.SIG_IGN, signal.SIG_IGN), (signal.default_int_handler, starting._end)])
def test_ctrl_c_stays_ignored_where_it_was(before: Any, during: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nohup` and `&` ignore the signal."""
    seen: list[Any] = []

    def main() -> None:
        seen.append(signal.getsignal(signal.SIGINT))
        starting.allow_interrupts()
        seen.append(signal.getsignal(signal.SIGINT))

    monkeypatch.setattr(starting, "import_module", lambda name: SimpleNamespace(main=main))
    kept = signal.signal(signal.SIGINT, before)
    try:
        starting.start("train")
    finally:
        signal.signal(signal.SIGINT, kept)
    assert seen == [during, before]


def test_only_the_first_process_of_ddp_prints_the_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    process = pressed(tmp_path, "hydra", "train")
    assert (process.communicate(timeout=120), process.returncode) == ((f"{AT_ONCE}\n", ""), 128 + signal.SIGINT)


@pytest.mark.parametrize(
    ("load", "given", "expected"),
    [
        (1.5, {}, "1000"),
        (0.3, {}, "None"),
        (1.5, {"GOMP_SPINCOUNT": "7"}, "7"),
        (1.5, {"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
    ],
)
def test_the_spin_count_is_lowered_on_a_busy_machine(load: float, given: dict[str, str], expected: str) -> None:
    """The value at the time when torch is imported, since OpenMP reads it only once."""
    watch = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            print(os.environ.get('GOMP_SPINCOUNT'), flush=True); os._exit(0)\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"os.getloadavg = lambda: ({load}, 0.0, 0.0)\n"
        "from vae_lightning.cli.startup import start\n"
        "sys.argv = ['evaluate.py', 'run=nowhere']\n"
        "start('evaluate')\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", watch], cwd=REPOSITORY, env={**clean, **given}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == expected, done.stderr
