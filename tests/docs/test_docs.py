"""The pages of docs/ match the source, their links work, and both languages show the same."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.running import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(REPOSITORY.glob("*.md"))]
include = runpy.run_path(str(DOCS / "include.py"))


def test_pages_hold_the_code_and_the_outputs_of_the_source() -> None:
    """Runs the walk-through. Numbers are masked, because they differ slightly between machines."""
    outputs = include["outputs"]()
    for page in include["pages"]():
        text = page.read_text(encoding="utf-8")
        made = include["filled"](text, outputs.__getitem__)
        assert include["without_figures"](made) == include["without_figures"](text), f"{page.name}: run make docs"


def test_a_page_that_drifted_is_noticed() -> None:
    text = (DOCS / "how_it_works.md").read_text(encoding="utf-8").replace("def encode(", "def encoded(")
    assert "def encoded(" in text
    assert "def encode(" in include["filled"](text, lambda name: "")


def test_figures_alone_are_masked() -> None:
    masked = include["without_figures"]
    assert masked("elbo −121.67 + 6.53") == masked("elbo −121.70 + 6.49")
    assert masked("elbo −121.67") != masked("kl −121.67")


def shown(page: str) -> tuple[list[str], list[str], list[str]]:
    """The code blocks, figures and commands of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return (
        re.findall(r"<!-- (?:code|cell|output) .+? -->", text),
        re.findall(r"\]\((images/.+?)\)", text),
        re.findall(r"^`(python .+?)`$", text, flags=re.MULTILINE),
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        a_line = target.suffix == ".py" and anchor.startswith("L")  # see test_readme.py
        assert not anchor or a_line or anchor in anchors(target), f"{page.name} links to {link}"


def test_both_languages_show_the_same() -> None:
    assert shown("how_it_works.md") == shown("how_it_works.ja.md")


@pytest.mark.parametrize("page", ["how_it_works.md", "how_it_works.ja.md"])
def test_every_picture_is_there_with_the_command_that_makes_it(page: str) -> None:
    blocks, pictures, commands = shown(page)
    assert len(blocks) > 15
    for picture, command in zip(pictures, commands, strict=True):
        assert (DOCS / picture).stat().st_size < 150_000
        assert command == f"python docs/figures.py {Path(picture).stem}"
