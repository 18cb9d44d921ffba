"""docs/python.md: its names are the public ones, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import vae_lightning as vl
from tests.running import REPOSITORY

PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    return PAGE.partition(f"<!-- tested: {name} -->\n```python\n")[2].partition("```")[0]


def test_every_public_name_is_on_the_page_and_exists() -> None:
    on_page = set(re.findall(r"\bvl\.(\w+)", PAGE))
    assert on_page == set(vl.__all__) - {"__version__"}
    assert all(getattr(vl, name) is not None for name in vl.__all__)
    assert set(dir(vl)) >= set(vl.__all__)


def test_every_override_on_the_page_composes() -> None:
    for call in re.findall(r"vl\.train\((.*?)\)", PAGE):
        overrides = [text for text in re.findall(r'"([^"]+=[^"]+)"', call) if "…" not in text]
        assert vl.compose(*overrides)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_pieces_by_hand_work_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    code = block("by hand").replace("max_epochs=5", "max_epochs=1, accelerator='cpu', logger=False, enable_progress_bar=False")
    exec(code, names)
    assert names["codes"].shape == (200, 20)
    assert names["elbo"] < -100
    exec(block("parts"), names)
    assert names["module"].uses_beta


@pytest.mark.parametrize("room", ["models", "objectives", "schedules", "evaluation"])
def test_the_rooms_have_the_names_that_they_list(room: str) -> None:
    module = getattr(vl, room)
    assert all(getattr(module, name) is not None for name in module.__all__)
