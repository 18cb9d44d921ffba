"""The page of `make chaos` counts what was tried and does not hide a failure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from tests.chaos.bad_input import Tried, tally
from tests.chaos.page import Tally, page

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
    text = page({"a setup": tallied}, cuts, [("a fault", fault, "said")], inputs, 60.0, "make chaos")
    assert f"{tallied.kills} kills" in text
    assert f"1 faults, 5 bad inputs. Lost, or not as promised: {lost}.**" in text
    assert f"| wrong lines are named | 5 | {failed} |" in text
