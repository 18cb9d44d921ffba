"""README.md and README.ja.md have the same headings, commands, options, links and numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running import REPOSITORY

ENGLISH, JAPANESE = REPOSITORY / "README.md", REPOSITORY / "README.ja.md"
# links to the other language
LANGUAGES = {"README.md", "README.ja.md"}


class Section(NamedTuple):
    """The parts of a section that do not depend on the language."""

    level: int
    blocks: list[str]
    codes: list[str]
    links: list[str]
    figures: list[str]
    rows: int


def sections(page: Path) -> list[Section]:
    return [section(part) for part in re.split(r"^(?=#+ )", without_comments(page.read_text(encoding="utf-8")), flags=re.M)]


def without_comments(text: str) -> str:
    """The page without the comments in its code blocks."""
    return re.sub(r"^```.*?^```$", lambda block: re.sub(r" +# .*$", "", block[0], flags=re.M), text, flags=re.M | re.S)


def section(text: str) -> Section:
    blocks, prose = re.findall(r"^```.*?^```$", text, flags=re.M | re.S), re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    # a command may be split over two lines, and the word order differs in Japanese
    codes = sorted(re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose))
    links = sorted(set(re.findall(r"\]\(([^)]+)\)", prose)) - LANGUAGES)
    figures = re.findall(r"−?\d[\d.]* ± [\d.]+", prose)
    heading = re.match(r"#*", text)
    assert heading is not None
    return Section(len(heading[0]), blocks, codes, links, figures, len(re.findall(r"^\|", prose, flags=re.M)))


def test_both_languages_say_the_same() -> None:
    english, japanese = sections(ENGLISH), sections(JAPANESE)
    assert [s.level for s in english] == [s.level for s in japanese]
    for ours, theirs in zip(english, japanese, strict=True):
        assert ours == theirs


def test_each_language_leads_to_the_other() -> None:
    for page, other in ((ENGLISH, JAPANESE), (JAPANESE, ENGLISH)):
        assert f"]({other.name})" in page.read_text(encoding="utf-8")[:200]


@pytest.mark.parametrize("page", [ENGLISH, JAPANESE], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert len(links) > 15
    for link in links:
        assert (REPOSITORY / link).exists(), link


@pytest.mark.parametrize("page", [ENGLISH, JAPANESE], ids=lambda page: page.name)
def test_a_link_to_a_line_leads_to_the_name_spoken_of(page: Path) -> None:
    links = re.findall(r"\[`([\w.]+)`\]\(([^)#]+)#L(\d+)\)", page.read_text(encoding="utf-8"))
    assert len(links) == len(re.findall(r"#L\d", page.read_text(encoding="utf-8"))) > 5
    for name, path, number in links:
        line = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        defines = re.search(rf"\b(def|class) {name.rpartition('.')[2]}\b", line)
        assert defines, f"{name}: {path}#L{number} is {line!r}; run make docs"


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("## スイープ\n", ""),  # a section
        ("latent_dim=16 beta=4 beta_schedule", "latent_dim=16 beta_schedule"),  # a command
        ("`laplace`、", ""),  # an option
        ("−107.8 ± 0.8", "−106.8 ± 0.8"),  # a number
        ("(docs/speed.md)", "(docs/reliability.md)"),  # a link
    ],
)
def test_a_difference_is_noticed(said: str, instead: str, tmp_path: Path) -> None:
    text = JAPANESE.read_text(encoding="utf-8")
    assert said in text
    changed = tmp_path / "README.ja.md"
    changed.write_text(text.replace(said, instead, 1), encoding="utf-8")
    assert sections(changed) != sections(ENGLISH)
