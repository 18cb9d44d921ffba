"""What --help prints: every key, its default and its comment, at the width of a terminal."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.running import REPOSITORY
from vae_lightning.cli import help as help_module
from vae_lightning.cli.app import flags_first
from vae_lightning.cli.help import help_text
from vae_lightning.errors import UserError

COMMANDS = ("train", "evaluate", "generate", "report", "export", "explore")
GROUPS = sorted(path.name for path in (REPOSITORY / "conf").iterdir() if path.is_dir() and path.name != "hydra")


def text_of(command: str, *arguments: str) -> str:
    text = help_text(["--help", *arguments], command)
    assert text is not None
    return text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_is_shown_with_its_comment(command: str) -> None:
    content = (REPOSITORY / "conf" / f"{command}.yaml").read_text(encoding="utf-8")
    text = text_of(command)
    for key in yaml.safe_load(content):
        assert key in ("defaults", "hydra") or f"\n{key}:" in text
    assert "\nhydra:" not in text
    said = " ".join(text.replace("#", " ").split())
    for line in content.partition("\nhydra:")[0].partition("\n\n")[2].splitlines():
        assert " ".join(line.partition("# ")[2].split()) in said, line


@pytest.mark.parametrize("arguments", [("train",), *((c,) for c in COMMANDS[1:]), *(("train", group) for group in GROUPS)])
def test_no_line_is_wider_than_a_terminal(arguments: tuple[str, ...]) -> None:
    wide = [line for line in text_of(*arguments).splitlines() if len(line) > 80]
    assert [line for line in wide if " " in line.strip()] == []


def test_lines_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(help_module, "terminal_width", lambda: 50)
    assert 40 < max(map(len, text_of("train", "likelihood").splitlines())) <= 50


@pytest.mark.parametrize("group", ["trainer", "objective", "likelihood"])
def test_every_option_is_described(group: str) -> None:
    text = text_of("train", group)
    for path in (REPOSITORY / "conf" / group).glob("*.yaml"):
        (line,) = [line for line in text.splitlines() if line.split()[0] == f"{group}={path.stem}"]
        assert len(line.split()) > 3, line


def test_the_help_of_train_names_the_help_of_a_group() -> None:
    assert "--help <group>" in text_of("train")
    assert "objective/kl: capacity, free_bits, plain" in text_of("train")


def test_an_unknown_option_is_refused_and_anything_else_is_no_help() -> None:
    with pytest.raises(UserError, match="model=cnn: unknown option"):
        help_text(["--help", "model=cnn"], "train")
    assert help_text(["model=conv"], "train") is None


def test_the_version_is_ours() -> None:
    text = help_text(["--version"], "train")
    assert text is not None
    assert text.startswith(f"vae-lightning {version('vae-lightning')}, torch {version('torch')}, lightning ")


def test_flags_may_stand_anywhere(tmp_path: Path) -> None:
    assert flags_first(["trainer=cpu", "-m", "beta=1,2"]) == ["-m", "trainer=cpu", "beta=1,2"]
    assert flags_first(["--config-dir", "x", "b=1", "a=2"]) == ["--config-dir", "x", "b=1", "a=2"]
