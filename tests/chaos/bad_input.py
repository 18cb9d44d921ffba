"""Counts the bad input that the tests try, and how much of it was not handled as promised."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.running import REPOSITORY

GOOD = "test_what_ships_passes"
MODULES = ("tests/cli/test_bad_input.py", "tests/runs/test_config_file.py", "tests/hostile/test_hostile.py")


class Tried(NamedTuple):
    """One test: its number of inputs, and how many of them failed."""

    promise: str
    inputs: int
    failed: int


def try_module(module: str, report: Path) -> list[Tried]:
    """Runs a module's tests of bad input, with a JUnit report; returns a row for each test that has several inputs."""
    command = [sys.executable, "-m", "pytest", "-q", module, f"--junitxml={report}"]
    subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False, timeout=7200)
    return tally(ET.parse(report).iter("testcase"))


def tally(cases: Iterable[ET.Element]) -> list[Tried]:
    counted: dict[str, list[bool]] = {}
    for case in cases:
        name, bracket, _ = case.attrib["name"].partition("[")
        if bracket and name != GOOD:
            promise = name.removeprefix("test_").replace("_", " ")
            counted.setdefault(promise, []).append(any(child.tag in ("failure", "error") for child in case))
    rows = [Tried(promise, len(failed), sum(failed)) for promise, failed in counted.items()]
    return sorted(rows, key=lambda row: -row.inputs)
