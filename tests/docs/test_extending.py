"""Every file and every command of docs/extending.md works."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.running import REPOSITORY, Runner

TEXT = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "~callbacks.pictures")


def write(runner: Runner, *paths: str) -> None:
    """Write these files of the page into the folder where the commands run."""
    for path in paths:
        (runner.cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (runner.cwd / path).write_text(FILES[path], encoding="utf-8")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the modules of the page: another test may use the same names."""
    yield
    for path in FILES:
        sys.modules.pop(path.removesuffix(".py"), None)


def test_the_page_holds_what_it_is_to_hold() -> None:
    assert {path.split("/")[1] for path in FILES if path.endswith(".yaml")} == {
        *("model", "likelihood", "prior", "sampler", "data", "beta_schedule", "callbacks"),
    }
    assert len(COMMANDS) == 10


def test_every_file_and_command_of_the_page_works(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(runner.cwd))  # as Python finds modules in the folder where it is started
    write(runner, *FILES)
    for command in COMMANDS:
        _, script, *arguments = command.split()
        if script != "train.py":
            runpy.run_path(str(runner.cwd / script))
            continue
        outcome = runner("train", *arguments, *QUICK)
        assert outcome.status == 0, (command, outcome.err)
        option = arguments[2].partition("=")[2]
        assert option in outcome.out or option == "with_codes"
    assert list(runner.cwd.glob("outputs/**/val_codes.npy"))


@pytest.mark.parametrize(("model", "shape"), [("mlp", (32, 32, 3)), ("conv", (64, 48)), ("resnet", (32, 32, 3))], ids=str)
def test_images_of_any_size_work_from_training_to_the_explorer(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, model: str, shape: tuple[int, ...]
) -> None:
    """hydra.searchpath is stored in the run, so other commands do not need to pass it."""
    monkeypatch.syspath_prepend(str(runner.cwd))
    write(runner, "own_data.py", "conf_mine/data/pictures.yaml")
    rng = np.random.default_rng(0)
    for i in range(60):
        path = runner.cwd / "pictures" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    found = f"hydra.searchpath=[file://{runner.cwd}/conf_mine]"
    own = ("data=pictures", "data.val_size=10", "data.test_size=10", f"model={model}", "likelihood=gaussian", "latent_dim=2")
    folder = runner.trained(found, *own, *QUICK)
    for command, *more in (
        ("evaluate", "nll.samples=3", "measures=[nll]"),
        ("generate", "what=[samples,manifold]"),
        ("explore",),
    ):
        outcome = runner(command, f"run={folder}", "trust_run_code=true", *more)
        assert outcome.status == 0, (command, outcome.err)


def test_arguments_of_ones_own_are_checked_and_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(runner.cwd))
    write(runner, "tiny.py", "conf_mine/model/tiny.yaml")
    outcome = runner("train", "--config-dir", "conf_mine", "model=tiny", "model.width=0")
    assert (outcome.status, outcome.err) == (2, "error: model.width=0: must be an integer of at least 1.\n")
    outcome = runner("train", "--config-dir", "conf_mine", "model=tyny")
    assert outcome.status == 2
    assert "Did you mean 'tiny'?" in outcome.err
