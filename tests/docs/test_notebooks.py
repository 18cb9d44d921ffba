"""The notebooks of docs/notebooks/ hold the cells of their scripts, with outputs that are small and whole, and the cells run."""

from __future__ import annotations

import ast
import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import REPOSITORY

FOLDER = REPOSITORY / "docs" / "notebooks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if path.name != "make.py"]
CELL = re.compile(r"^# %%.*\n", flags=re.MULTILINE)


def notebook(script: Path) -> dict[str, Any]:
    return json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))


def outputs(script: Path) -> list[dict[str, Any]]:
    return [output for cell in notebook(script)["cells"] for output in cell.get("outputs", [])]


def shown(output: dict[str, Any], kind: str = "text/plain") -> str:
    content = output.get("text", output.get("data", {}).get(kind, ""))
    return content if isinstance(content, str) else "".join(content)


def test_there_are_two() -> None:
    assert [script.stem for script in SCRIPTS] == ["own_images", "quickstart"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_has_the_cells_of_its_script(script: Path) -> None:
    pytest.importorskip("jupytext")
    made = runpy.run_path(str(FOLDER / "make.py"))["cells"](script)
    expected = [(cell.cell_type, cell.source) for cell in made.cells]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(script)["cells"]] == expected, "run make notebooks"
    assert len(expected) == len(CELL.findall(script.read_text(encoding="utf-8"))) > 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_its_outputs_are_small_whole_and_of_no_particular_machine(script: Path) -> None:
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    code = [cell for cell in notebook(script)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert {output["output_type"] for output in outputs(script)} <= {"stream", "display_data", "execute_result"}
    assert [name for name in ("/tmp", "/root", "/work", "site-packages", "Traceback") if name in text] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_shows_one_line_of_progress_and_the_pictures_of_the_run(script: Path) -> None:
    texts = [shown(output) for output in outputs(script)]
    trained = sum("vl.train(" in "".join(cell["source"]) and bool(cell["outputs"]) for cell in notebook(script)["cells"])
    progress = [text for text in texts if text.startswith("epoch")]
    assert progress
    assert all("100%" in text and text.count("epoch") == 1 for text in progress)
    assert trained
    (page,) = [html for output in outputs(script) if "<table>" in (html := shown(output, "text/html"))]
    assert page.count("data:image/png;base64,") == 2
    assert any("image/png" in output.get("data", {}) for output in outputs(script))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_cells_of_a_script_run(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a notebook runs them, with fewer epochs: what the last line of a cell gives is shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules[__name__])  # where vl.train would look for a script
    text, count = re.subn(r"max_epochs=\d+", "max_epochs=1", script.read_text(encoding="utf-8"))
    assert count
    names: dict[str, Any] = {"__name__": "cells"}
    values = [run_cell(cell, names) for cell in CELL.split(text)[1:] if not all(is_comment(line) for line in cell.splitlines())]
    assert any(hasattr(value, "_repr_html_") and value._repr_html_().count("<img") == 2 for value in values)
    assert any(hasattr(value, "_repr_png_") for value in values)
    assert "results (of the best checkpoint)" in (names["run"].folder / "run.log").read_text(encoding="utf-8")
    assert names["values"]["linear_probe_accuracy"] > 0.2


def is_comment(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell; the value of its last line, if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # type: ignore[attr-defined]
