"""Records keep the page of results when the folders of its runs are gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports.published.test_results_page import KNOWN, STANDARD, VAMP, called, nll, row, run
from vae_lightning.reports.published.find_runs import find_runs, run_folders
from vae_lightning.reports.published.records import write_record
from vae_lightning.reports.published.results_page import page


def recorded(folder: Path) -> Path:
    """The record of a run of STANDARD."""
    if not (folder / STANDARD).exists():
        run(folder, STANDARD, 0, nll(84.1), images=[84.0, 84.2])
    found, _ = find_runs(run_folders(folder), KNOWN)
    write_record(folder, KNOWN[STANDARD], found[STANDARD][0])
    return folder / f"{STANDARD}_seed0.json"


def test_a_page_is_written_again_when_its_runs_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(84, 25, 400)
    for seed in (0, 1):
        run(tmp_path / "runs", STANDARD, seed, nll(hard.mean()), images=hard.tolist())
        run(tmp_path / "runs", VAMP, seed, nll(hard.mean() - 1.5), images=(hard - 1.5).tolist())
    run(tmp_path / "runs", "burda2016_iwae50", 4, {**nll(84.9), "active_units": 24})
    arguments = [f"page={tmp_path / 'results.md'}", f"records={tmp_path / 'records'}"]
    assert called(monkeypatch, f"runs={tmp_path / 'runs'}", *arguments) == 0
    first = (tmp_path / "results.md").read_text()
    assert row(first, f"{STANDARD} → {VAMP}")[3].startswith("1.50 ± 0.00")
    (tmp_path / "results.md").unlink()
    assert called(monkeypatch, "runs=null", *arguments) == 0
    assert (tmp_path / "results.md").read_text() == first
    assert len(list((tmp_path / "records").iterdir())) == 4 * 2 + 1


def test_a_run_that_was_not_evaluated_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "runs", "kingma2014_z20", metrics={})
    arguments = [f"page={tmp_path / 'results.md'}", f"records={tmp_path / 'records'}"]
    assert called(monkeypatch, f"runs={tmp_path / 'runs'}", *arguments) == 0
    assert row((tmp_path / "results.md").read_text(), "kingma2014_z20")[4] == "not evaluated"
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(("started", "shown"), [("2025", "84.10 ± 0.30"), ("2027", "84.60 ± 0.30")])
def test_of_a_record_and_a_run_of_one_seed_the_later_counts(tmp_path: Path, started: str, shown: str) -> None:
    run(tmp_path / "runs", STANDARD, 0, nll(84.1), started="2026", images=[84.1, 84.1])
    records = tmp_path / "records"
    found, _ = find_runs(run_folders(tmp_path / "runs"), KNOWN)
    write_record(records, KNOWN[STANDARD], found[STANDARD][0])
    run(tmp_path / "other", STANDARD, 0, nll(84.6), started=started)
    found, notes = find_runs(run_folders(tmp_path / "other"), KNOWN, records.glob("*.json"))
    assert row(page(KNOWN, found), STANDARD)[4] == shown
    assert not notes
    write_record(records, KNOWN[STANDARD], found[STANDARD][0])
    assert (records / f"{STANDARD}_seed0.npz").exists() == (started == "2025"), "images of another run"


def test_a_run_that_is_evaluated_again_replaces_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [f"runs={tmp_path / 'runs'}", f"page={tmp_path / 'results.md'}", f"records={tmp_path / 'records'}"]
    folder = run(tmp_path / "runs", STANDARD, 0, nll(84.9, samples=100))
    assert called(monkeypatch, *arguments) == 0
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"test": nll(84.3)}))
    assert called(monkeypatch, *arguments) == 0
    assert row((tmp_path / "results.md").read_text(), STANDARD)[2:5] == ["nll, k = 5000", "84.45 (± 0.4)", "84.30 ± 0.30"]
    assert json.loads((tmp_path / "records" / f"{STANDARD}_seed0.json").read_text())["value"] == 84.3


SPOILT = [
    ({"recipe": "lost"}, "its recipe is not in conf/experiment"),
    ({"value": None}, "it is damaged"),
    ({"seed": "zero"}, "it is damaged"),
    ({"started": 2026}, "it is damaged"),
    ({"samples": "many"}, "it is damaged"),
    ({"colour": "blue"}, "it is damaged"),
    ({"settings": {}}, "it is not a run of tomczak2018_standard: "),
]


@pytest.mark.parametrize(("change", "reason"), SPOILT, ids=str)
def test_a_record_that_is_none_is_left_out_with_a_sentence(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = recorded(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found, notes = find_runs([], KNOWN, [path])
    assert not found
    assert notes[0].startswith(f"{path.name} is left out: {reason}")


def test_damaged_files_of_a_record(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.with_suffix(".npz").write_bytes(b"PK half")
    found, notes = find_runs([], KNOWN, [path])
    assert found[STANDARD][0].per_image is None
    assert not notes
    path.write_text('{"recipe": ')
    assert find_runs([], KNOWN, [path]) == ({}, [f"{path.name} is left out: it is damaged."])
    content = json.loads(recorded(tmp_path).read_text())
    del content["commit"]
    path.write_text(json.dumps(content))
    assert find_runs([], KNOWN, [path]) == ({}, [f"{path.name} is left out: it is damaged."])


def test_a_note_stands_below_how_it_was_made(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "By candlelight."}))
    found, _ = find_runs([], KNOWN, [path])
    made, _, after = page(KNOWN, found).partition("## How to reproduce each row")[2].partition("\n- ")
    assert after.startswith(f"`{STANDARD}`, seed 0: By candlelight.\n\n## Sources")
    assert STANDARD in made


def test_the_page_that_ships_is_that_of_the_records_that_ship() -> None:
    """After a recipe is added or a value changed, the page must be generated again; it is not edited by hand."""
    docs = Path(__file__).parents[3] / "docs"
    found, notes = find_runs([], KNOWN, (docs / "results").glob("*.json"))
    assert (docs / "results.md").read_text(encoding="utf-8") == page(KNOWN, found)
    assert not notes
    assert len(found) >= 8
