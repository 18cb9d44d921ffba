"""The package is laid out so that a name tells where a thing is: no name stands for two things."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "vae_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))
# each family of options has a `base`, and an option's module is called as the option is on the command line
FAMILIES = {"base", "none", "flow", "categorical"}


def test_no_two_classes_have_one_name() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_two_modules_of_a_room_have_one_name() -> None:
    rooms = Counter((path.relative_to(PACKAGE).parts[0], path.stem) for path in FILES if path.stem not in ("__init__", *FAMILIES))
    assert [name for name, count in rooms.items() if count > 1] == []


def test_files_fit_on_a_few_screens() -> None:
    assert {str(path): lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300} == {}
