"""A damaged file of a run or a sweep ends a command with one sentence, or does not matter: no traceback, hang or nonsense.

The damages are drawn by hypothesis. The usual run of the tests tries a few dozen, `make test-slow` many.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.mutations import damage
from tests.running import SHORT, Outcome, in_process, train_once
from tests.sweeps.sweeping import TINY

# said to the user, and no error: a name in the header of metrics.csv was damaged
pytestmark = pytest.mark.filterwarnings("default:.*has no column for")
LONGEST, PATIENCE = 10, 600  # seconds of processor time, and of waiting, which a busy machine makes longer
RUN_COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # and the files that they read
    "evaluate": (("run=RUN", "measures=[reconstructions]", "batch_size=500"), ("config.yaml", "results.json")),
    "generate": (("run=RUN", "what=[training_film]"), ("config.yaml", "film/000001.npz", "film/000002.npz")),
    "explore": (("run=RUN", "images=2", "starts=1"), ("config.yaml",)),
    "export": (("run=RUN", "formats=[safetensors]"), ("config.yaml",)),
    "train": (("resume=RUN", "trainer.max_epochs=3"), ("config.yaml", "results.json", "metrics.csv")),
}
CHECKPOINTS = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")
SWEEP_COMMANDS: dict[str, tuple[str, ...]] = {"report": ("sweep=RUN", "images=0"), "train": ("resume_sweep=RUN",)}
SWEEP_FILES = ("sweep.json", "jobs/*.json", "*/results.json", "*/config.yaml", "*/metrics.csv")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Path:
    patch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path_factory.mktemp("home")))
    patch.setattr("vae_lightning.training.finish.draw_pictures", lambda *_: {})
    cwd = tmp_path_factory.mktemp("kept")
    few = ("callbacks=default", "callbacks.pictures=null", "logger=none", "latent_dim=2", "trainer.limit_train_batches=2")
    return train_once(cwd, *SHORT[:2], *few)


@pytest.fixture(scope="module")
def kept_sweep(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Path:
    patch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path_factory.mktemp("home")))
    patch.setattr("vae_lightning.training.finish.draw_pictures", lambda *_: {})
    cwd = tmp_path_factory.mktemp("kept_sweep")
    outcome = in_process(cwd, "train", "-m", *TINY, "trainer.max_epochs=1", "beta=1,2", "hydra.sweeper.report=false")
    assert outcome.status == 0, outcome.err
    return next(cwd.glob("outputs/sweeps/*/*/sweep.json")).parent


@contextmanager
def no_hang() -> Iterator[None]:
    """Fails a block that waits for minutes, such as one that opens a FIFO."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still waiting after {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(folder: Path, command: str, arguments: tuple[str, ...]) -> Outcome:
    cwd = folder.parent / "here"
    cwd.mkdir()
    began = time.process_time()
    with no_hang():
        outcome = in_process(cwd, command, *(argument.replace("RUN", str(folder)) for argument in arguments))
    assert time.process_time() - began < LONGEST
    assert outcome.status in (0, 1, 2), outcome
    assert "Traceback" not in outcome.err
    assert "\x1b" not in outcome.out + outcome.err
    if outcome.status:
        assert outcome.err.splitlines()[-1].startswith("error: "), outcome.err
        assert outcome.err.count("error: ") == 1, outcome.err
        assert len(outcome.err) < 1500, outcome.err
    return outcome


def numbers_in(content: Any) -> Iterator[float]:
    if isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from numbers_in(part)
    elif isinstance(content, float):
        yield content


def try_run(kept: Path, folder: Path, files: str, data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(RUN_COMMANDS)), label="command")
    arguments, read = RUN_COMMANDS[command]
    run = shutil.copytree(kept, folder / "run")
    target = run / data.draw(st.sampled_from(read if files == "plain" else CHECKPOINTS), label="file")
    others = [path for path in sorted(kept.rglob("*")) if path.is_file()]
    how = damage(target, others, data.draw)
    outcome = attempt(run, command, arguments)
    if outcome.status == 0 and command in ("evaluate", "train") and (run / "results.json").is_file():
        results = json.loads((run / "results.json").read_text())
        assert all(map(math.isfinite, numbers_in(results.get("test", {})))), how


def try_sweep(kept: Path, folder: Path, data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(SWEEP_COMMANDS)), label="command")
    sweep = shutil.copytree(kept, folder / "sweep")
    found = sorted(path for pattern in SWEEP_FILES for path in sweep.glob(pattern))
    target = data.draw(st.sampled_from(found), label="file")
    damage(target, [path for path in sorted(kept.rglob("*")) if path.is_file()], data.draw)
    attempt(sweep, command, SWEEP_COMMANDS[command])


def fuzz(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # the damage is small already, and shrinking it takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@given(data=st.data())
@fuzz(25)
def test_a_damaged_file_of_a_run(kept_run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    try_run(kept_run, tmp_path_factory.mktemp("fuzz"), "plain", data)


@pytest.mark.slow
@given(data=st.data())
@fuzz(600)
def test_many_damaged_files_of_a_run(kept_run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    try_run(kept_run, tmp_path_factory.mktemp("fuzz"), "plain", data)


@pytest.mark.slow
@given(data=st.data())
@fuzz(300)
def test_many_damaged_checkpoints(kept_run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    try_run(kept_run, tmp_path_factory.mktemp("fuzz"), "checkpoints", data)


@pytest.mark.slow
@given(data=st.data())
@fuzz(300)
def test_many_damaged_files_of_a_sweep(kept_sweep: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    try_sweep(kept_sweep, tmp_path_factory.mktemp("fuzz"), data)
