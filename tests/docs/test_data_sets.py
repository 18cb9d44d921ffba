"""docs/data_sets.md lists every data set, with the classes' sizes and sources."""

from __future__ import annotations

import re

import pytest
import yaml
from hydra.utils import get_class

from tests.running import REPOSITORY
from vae_lightning.data.published import DownloadedData, PublishedData

OWN = {"arrays", "folder"}  # images of one's own, which are no published set
PAGE = (REPOSITORY / "docs" / "data_sets.md").read_text(encoding="utf-8")
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)`.*$", PAGE, flags=re.MULTILINE)}
OPTIONS = sorted(path.stem for path in (REPOSITORY / "conf" / "data").glob("*.yaml") if path.stem not in OWN)


def test_every_option_is_listed() -> None:
    assert sorted(ROWS) == OPTIONS


@pytest.mark.parametrize("option", OPTIONS)
def test_rows_agree_with_the_classes(option: str) -> None:
    target = yaml.safe_load((REPOSITORY / "conf" / "data" / f"{option}.yaml").read_text(encoding="utf-8"))["_target_"]
    kind = get_class(target)
    assert ("↓" in ROWS[option]) == issubclass(kind, DownloadedData)
    if issubclass(kind, PublishedData):
        assert f"({kind.home})" in ROWS[option]
        assert kind.kind is None or f"| {kind.kind} |" in ROWS[option]


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_readmes_name_every_option(readme: str) -> None:
    row = next(line for line in (REPOSITORY / readme).read_text(encoding="utf-8").splitlines() if line.startswith("| `data`"))
    assert set(OPTIONS) <= set(re.findall(r"`(\w+)`", row))
