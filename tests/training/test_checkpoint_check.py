"""A checkpoint is resumed as it was written, and refused with one sentence if anything in it was changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hostile.checkpoints import CHECKPOINTS
from tests.running import SHORT, Runner, train_once
from vae_lightning.errors import RunError
from vae_lightning.runs.folder import find_run
from vae_lightning.runs.results import add_to_results

REFUSED = {
    "moments of another shape": "has the shape (3,)",
    "moments of another type": "has the type int64",
    "moments that are transposed": "is not laid out in memory",
    "moments at the end of their memory": "is not laid out in memory",
    "moments that are negated": "a tensor of an unusual kind",
    "moments that are parameters": "is not laid out in memory",
    "two moments in one memory": "in the same memory",
    "all moments in one memory": "in the same memory",
    "one counter of steps for all parameters": "in the same memory",
    "an empty optimizer state": "its optimizer has no state after 4 steps",
    "no optimizer states": "optimizer_states",
    "other parameter groups": "param_groups",
    "weights that are integers": "has the type int32",
    "weights that are complex": "has the type complex64",
    "weights that are missing": "is missing",
    "a random state of another size": "a random state cannot be restored",
    "files with negative sizes": "files",
    "files of the victim's": "outside the run folder",
    "schedules that are gone": "schedules",
    "loops of another kind": "loops.fit_loop",
    "a compressed archive": "truncated or changed",
    "a deep nest": "levels",
}


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = ("trainer.max_epochs=1", "data.batch_size=200", "trainer.limit_train_batches=4")
    return train_once(tmp_path_factory.mktemp("run"), *SHORT, *steps)


@pytest.fixture
def run(short_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(short_run, tmp_path / "run")


@pytest.mark.usefixtures("no_pictures")
def test_what_was_not_changed_is_resumed(runner: Runner, run: Path) -> None:
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize("name", REFUSED)
def test_what_was_changed_is_refused_before_the_run_is_touched(runner: Runner, run: Path, tmp_path: Path, name: str) -> None:
    CHECKPOINTS[name](run, tmp_path / "victim")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2")
    assert outcome.status == 1, outcome
    assert REFUSED[name] in outcome.err
    assert outcome.err.count("\n") == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_a_metric_that_is_not_finite_is_not_written(run: Path) -> None:
    found = find_run(run)
    for value in (float("nan"), [1.0, float("inf")], {"10": float("-inf")}):
        with pytest.raises(RunError, match=r"best.ckpt gives NaN or infinity in nll: nothing is written to results.json"):
            add_to_results(found, "test", {"elbo": 1.0, "nll": value})
    add_to_results(found, "test", {"nll": 1.0, "unknown": None})


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("evaluate", ("measures=[reconstructions]",)),
        ("generate", ("what=samples",)),
        ("explore", ("images=2",)),
        ("export", ("formats=[safetensors]",)),
    ],
)
@pytest.mark.parametrize("name", ["weights of 1e38", "weights that are integers", "weights that are not finite"])
def test_weights_that_give_no_numbers_end_in_a_sentence(
    runner: Runner, run: Path, tmp_path: Path, command: str, more: tuple[str, ...], name: str
) -> None:
    CHECKPOINTS[name](run, tmp_path / "victim")
    before = (run / "results.json").read_text()
    outcome = runner(command, f"run={run}", *more)
    assert outcome.status == 1, outcome
    assert "best.ckpt" in outcome.err
    assert outcome.err.count("\n") == 1
    assert (run / "results.json").read_text() == before
