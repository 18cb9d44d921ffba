"""Run the commands as a user types them, in this process (to import once) or in a separate one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]


@dataclass
class Outcome:
    status: int
    out: str
    err: str


class Runner:
    """`runner("train", "beta=4")` in the folder `cwd`; `runs()` lists the runs in its outputs/."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cwd: Path) -> None:
        self.monkeypatch, self.capsys, self.cwd = monkeypatch, capsys, cwd
        monkeypatch.chdir(cwd)
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def __call__(self, command: str, *arguments: str) -> Outcome:
        from importlib import import_module

        self.monkeypatch.setattr(sys, "argv", [f"{command}.py", *arguments])
        self.capsys.readouterr()
        try:
            import_module(f"vae_lightning.cli.{command}").main()
            status = 0
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 1
        captured = self.capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    def runs(self) -> list[Path]:
        """Run folders, oldest first."""
        return sorted((path.parent for path in self.cwd.glob("outputs/**/config.yaml")), key=lambda p: p.stat().st_mtime_ns)

    def trained(self, *arguments: str) -> Path:
        """Train a run that must succeed; return its folder."""
        outcome = self("train", *arguments)
        assert outcome.status == 0, outcome.err
        return self.runs()[-1]


def run_script(script: str, arguments: Sequence[str], cwd: Path, **environment: str) -> Outcome:
    """Run `python <script> <arguments>` in a separate process."""
    return run_interpreter([str(REPOSITORY / script), *arguments], cwd, environment)


def run_python(code: str, arguments: Sequence[str], cwd: Path) -> Outcome:
    """Run `python -c <code> <arguments>` in a separate process, which finds the package."""
    return run_interpreter(["-c", code, *arguments], cwd, {"PYTHONPATH": str(REPOSITORY)})


def run_interpreter(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Outcome:
    """Run `python <arguments>` in a separate process, with additional environment variables."""
    import os

    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


# a few steps on few images
SHORT: tuple[str, ...] = (
    "model.hidden=[32]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=4",
    "callbacks=minimal",
    "latent_dim=3",
)


def metrics_rows(folder: Path) -> list[dict[str, Any]]:
    import csv

    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def in_process(cwd: Path, command: str, *arguments: str) -> Outcome:
    """Run a command like `Runner`, for use outside a test function."""
    import contextlib
    import io
    from importlib import import_module

    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", [f"{command}.py", *arguments])
        try:
            import_module(f"vae_lightning.cli.{command}").main()
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 1
    return Outcome(status, out.getvalue(), err.getvalue())


def train_once(cwd: Path, *arguments: str) -> Path:
    """Train a run in `cwd` that a module of tests shares; return its folder."""
    outcome = in_process(cwd, "train", *arguments)
    assert outcome.status == 0, outcome.err
    return next(cwd.glob("outputs/*/*/config.yaml")).parent
