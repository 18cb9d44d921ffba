"""docs/extending.md: its files and commands, as they stand there."""

from __future__ import annotations

import re
import runpy
import sys

import pytest

from tests.running import REPOSITORY, Runner

TEXT = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "~callbacks.pictures")


def test_the_page_holds_what_it_is_to_hold() -> None:
    assert {path.split("/")[1] for path in FILES if path.endswith(".yaml")} == {
        *("model", "likelihood", "prior", "data", "beta_schedule", "callbacks"),
    }
    assert len(COMMANDS) == 9


def test_every_file_and_command_of_the_page_works(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(runner.cwd))  # where Python finds modules of the folder it is started in
    for path, content in FILES.items():
        (runner.cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (runner.cwd / path).write_text(content, encoding="utf-8")
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
    for path in FILES:  # another test may have a module of the same name
        sys.modules.pop(path.removesuffix(".py"), None)


def test_arguments_of_ones_own_are_checked_and_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(runner.cwd))
    for path in ("tiny.py", "conf_mine/model/tiny.yaml"):
        (runner.cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (runner.cwd / path).write_text(FILES[path], encoding="utf-8")
    outcome = runner("train", "--config-dir", "conf_mine", "model=tiny", "model.width=0")
    assert (outcome.status, outcome.err) == (2, "error: model.width=0: must be an integer of at least 1.\n")
    outcome = runner("train", "--config-dir", "conf_mine", "model=tyny")
    assert outcome.status == 2
    assert "Did you mean 'tiny'?" in outcome.err
