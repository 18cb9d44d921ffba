"""docs/variants.md: its tables show the measured values, its runs are valid commands, and its figures exist."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import pytest

from tests.running import REPOSITORY, Runner

DOCS = REPOSITORY / "docs"
compositions = runpy.run_path(str(DOCS / "compositions.py"))
studies = runpy.run_path(str(DOCS / "studies.py"))
STUDIES, ALWAYS = studies["STUDIES"], studies["ALWAYS"]


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(DOCS))
    return runpy.run_path(str(DOCS / "variants.py"))


def page() -> str:
    return (DOCS / "variants.md").read_text(encoding="utf-8")


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "variants.json").read_text(encoding="utf-8"))
    return found


def test_the_tables_are_what_was_measured(variants: dict[str, Any]) -> None:
    measured = figures()
    assert list(measured) == list(STUDIES)
    assert variants["filled"](page(), measured) == page(), "run python docs/variants.py"
    measured["collapse"]["constant"]["kl"] = [1.0, 2.0]
    assert variants["filled"](page(), measured) != page()


def test_figures_are_those_of_every_setting_and_seed() -> None:
    for name, study in STUDIES.items():
        assert list(figures()[name]) == list(study.settings)
        for found in figures()[name].values():
            assert list(found) == list(study.columns.values())
            assert {len(values) for values in found.values()} == {len(study.seeds)}


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_is_a_composition_that_is_built(name: str) -> None:
    study = STUDIES[name]
    for setting in study.settings:
        arguments = [argument for argument in study.arguments(setting) if argument not in ALWAYS]
        compositions["module_of"](compositions["composed"](*arguments))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_its_command_its_picture_and_its_table(name: str) -> None:
    section = next(part for part in page().split("\n## ") if f"<!-- table {name} -->" in part)
    assert f"\n`python docs/variants.py {name}`\n" in section
    assert re.findall(r"\]\((images/.+?)\)", section) == [f"images/variants/{name}.png"]
    assert (DOCS / "images" / "variants" / f"{name}.png").stat().st_size < 150_000


def test_numbers_in_words(variants: dict[str, Any]) -> None:
    assert variants["in_words"]([-1.5]) == "−1.50"
    assert variants["in_words"]([6, 7]) == "6.50 (6 … 7)"
    assert variants["in_words"]([0.0123, 0.0123]) == "0.0123"
    assert variants["with_error"]([1.0, 2.0, 3.0]) == "2.00 ± 0.58"


@pytest.mark.slow
def test_a_study_is_trained_measured_and_left_alone_the_second_time(
    runner: Runner, variants: dict[str, Any], data_root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies["Study"]("model.hidden=[8] trainer.max_epochs=1 trainer.limit_train_batches=2", {"a": "beta=2"}, {"KL": "kl"})
    monkeypatch.setitem(variants["STUDIES"], "tried", study)
    output = runner.cwd / "outputs"
    variants["train"](output, str(data_root), "tried", "a", 0)
    found = variants["gathered"](output, "tried")
    assert found["a"]["kl"][0] > 0
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    variants["train"](output, str(data_root), "tried", "a", 0)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
