"""The page of `make chaos` counts what was tried and does not hide a failure."""

from __future__ import annotations

import pickle
import random
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.bad_input import Tried, tally
from tests.chaos.killing import gather
from tests.chaos.page import Found, Tally, page
from tests.chaos.record import Record

CASES = """<testsuite>
<testcase name="test_wrong_lines_are_named[a]"/><testcase name="test_wrong_lines_are_named[b]"><failure/></testcase>
<testcase name="test_links"/><testcase name="test_what_ships_passes[model]"/><testcase name="test_wrong_lines_are_named[c]"/>
</testsuite>"""


def test_inputs_are_counted_by_their_test() -> None:
    assert tally(ET.fromstring(CASES).iter("testcase")) == [Tried("wrong lines are named", 3, 1)]


@pytest.mark.parametrize(
    ("tallied", "cuts", "fault", "failed", "lost"),
    [
        (Tally(kills=4, early=1), Counter(), "as promised", 0, 0),
        (Tally(kills=4, differences=["a row"]), Counter(), "as promised", 0, 1),
        (Tally(), Counter({"truncations not noticed": 2}), "as promised", 0, 2),
        (Tally(), Counter({"changed bytes that changed the content": 1}), "as promised", 0, 1),
        (Tally(), Counter(), "NOT as promised", 0, 1),
        (Tally(), Counter(), "as promised", 3, 3),
    ],
)
def test_what_was_lost_is_added_up(tallied: Tally, cuts: Counter[str], fault: str, failed: int, lost: int) -> None:
    inputs = [Tried("wrong lines are named", 5, failed)]
    text = page(Found({"a setup": tallied}, {}, cuts, [("a fault", fault, "said")], inputs), 60.0, "make chaos")
    assert f"{tallied.kills} kills" in text
    assert f"1 faults, 5 bad inputs. Lost, or not as promised: {lost}.**" in text
    assert f"| wrong lines are named | 5 | {failed} |" in text


@pytest.mark.parametrize(("differences", "lost"), [([], 0), (["after the kill: results.json"], 1)])
def test_aimed_kills_are_added_and_their_losses_shown(differences: list[str], lost: int) -> None:
    aimed = {"`evaluate`": Tally(kills=7, hits=3, differences=differences), "a sweep": Tally(kills=2)}
    text = page(Found({"a setup": Tally(kills=4, early=1)}, aimed), 60.0, "make chaos")
    assert "**13 kills (SIGKILL): 4 of runs at random moments, 3 of them resumed" in text
    assert "and 9 aimed ones;" in text
    assert f"Lost, or not as promised: {lost}.**" in text
    assert f"| `evaluate` | 7 | 3 | {'; '.join(differences) or 0} |" in text


def test_what_was_not_tried_is_named() -> None:
    assert "Not tried" not in page(Found(), 60.0, "make chaos")
    assert "within the time given: conv; full disk." in page(Found(missing=["conv", "full disk"]), 60.0, "make chaos")


def test_a_stopped_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    first = Record(path)
    first.began -= 100
    first.add_tally("a setup", Tally(kills=4, early=1, runs=1, steps=250))
    first.add("fault", "full disk", ("as promised", "said"))
    with path.open("a") as file:
        file.write('{"kind": "kills", "na')  # killed while it wrote
    second = Record(path)
    second.began -= 20
    second.add_tally("a setup", Tally(kills=2, runs=1, steps=250, hits=1, differences=["a row"]))
    assert second.tallies() == {"a setup": Tally(6, 1, 2, 250, 1, ["a row"])}
    assert second.of("fault") == {"full disk": ["as promised", "said"]}
    assert 120 <= second.seconds() < 125, "the time of both"


@pytest.mark.parametrize(("kills", "differences", "more"), [(0, [], 2), (5, [], 1), (9, [], 0), (3, ["a row"], 0)])
def test_kills_are_gathered_until_there_are_enough(tmp_path: Path, kills: int, differences: list[str], more: int) -> None:
    record, given = Record(tmp_path / "state.jsonl"), list[int]()
    record.add_tally("a setup", Tally(kills=kills, differences=differences))

    def once(chance: random.Random, quota: int, end: float) -> Tally:
        given.append(quota)
        return Tally(kills=min(quota, 5), runs=1)

    gather("a setup", 9, lambda work: once, record, 0, tmp_path, time.monotonic() + 60)
    assert len(given) == more
    assert record.tallies()["a setup"].kills == (kills if differences else 9)
    gather("another", 9, lambda work: once, record, 0, tmp_path, time.monotonic())
    assert "another" not in record.tallies(), "the time was over"


def test_what_is_left_to_do_follows_from_the_record(tmp_path: Path) -> None:
    record, (first, second, *_) = Record(tmp_path / "state.jsonl"), campaign.SETUPS
    record.add_tally(first.name, Tally(kills=9))
    record.add_tally(second.name, Tally(kills=8))
    record.add("cuts", "", {"truncated checkpoints": 5})
    for name in campaign.faults.FAULTS:
        record.add("fault", name, ("as promised", "said"))
    one, *others = campaign.bad_input.MODULES
    record.add("inputs", one, [Tried("wrong lines are named", 3, 1)])
    found = campaign.found_so_far(record, {first.name: 9, second.name: 9, "`report`": 9})
    assert found.missing == [second.name, "`report`", *(f"bad input of {module}" for module in others)]
    assert (found.inputs, found.cuts["truncated checkpoints"], found.lost) == ([Tried("wrong lines are named", 3, 1)], 5, 1)
    assert list(found.tallies) == [first.name, second.name]


def test_everything_that_is_killed_can_be_sent_to_another_process() -> None:
    assert all(pickle.loads(pickle.dumps(tried.prepare)) for tried in (*campaign.SETUPS, *campaign.AIMS))


def test_the_page_names_the_command_without_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["--kills", "1000", "--minutes", "5", "--state", str(tmp_path / "kills.jsonl"), "--out", str(tmp_path / "page.md")]
    monkeypatch.setattr("sys.argv", ["campaign.py", *typed])
    assert campaign.parse()[1] == 'make chaos ARGS="--kills 1000 --state kills.jsonl"'
    monkeypatch.setattr("sys.argv", ["campaign.py"])
    assert campaign.parse()[1] == "make chaos"
