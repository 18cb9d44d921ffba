"""What each recipe of conf/experiment is held against: the header of its file, which is YAML behind `# `.

| key | of a full recipe |
|---|---|
| paper, table, setting | where the value stands, and how it was come by |
| metric | `nll`, or `-elbo` |
| published, tolerance | nats per image; ours is to lie within the tolerance |
| pair, gap_at_least | optional: the recipe over which this one improves, and by how many nats at least |
| active_units | optional: how many units the paper calls active |
| evaluate | the arguments of evaluate.py |

A budget variant has `budget_of` (the recipe of which it is a shorter run, and whose other keys hold for it), `setting`,
`evaluate`, `allowance` (ours is to be at most published + allowance) and `chosen` (how that was chosen).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.config.builtin import conf_dir
from vae_lightning.errors import UserError

METRICS = ("nll", "-elbo")
FULL = {"paper", "table", "setting", "metric", "published", "tolerance", "evaluate"}
PAIRED = {"pair", "gap_at_least"}
OPTIONAL = {"active_units"}
BUDGET = {"budget_of", "setting", "allowance", "chosen", "evaluate"}
BUDGET_SUFFIX = "_budget"


@dataclass(frozen=True)
class Recipe:
    """published, tolerance, gap_at_least, allowance: nats per image. pair: the name of a recipe, of a budget variant that of one.

    allowance, chosen: None of a full recipe. gap_at_least: None of a budget variant.
    """

    name: str
    paper: str
    table: str
    setting: str
    metric: str
    published: float
    tolerance: float
    evaluate: str
    pair: str | None = None
    gap_at_least: float | None = None
    allowance: float | None = None
    chosen: str | None = None
    active_units: int | None = None

    @property
    def is_budget(self) -> bool:
        return self.allowance is not None

    @property
    def entry(self) -> str:
        """The entry of results.json that `evaluate` writes."""
        return "test_last" if "checkpoint=last" in self.evaluate.split() else "test"

    def holds(self, ours: float) -> bool:
        """Whether ours is within the tolerance of what is published; with a budget, at most the allowance above it."""
        if self.allowance is not None:
            return ours <= self.published + self.allowance
        return abs(ours - self.published) <= self.tolerance


def recipes(folder: Path | None = None) -> dict[str, Recipe]:
    """All recipes with a header, in the order of their names, each budget variant after its full one.

    folder: of the files (conf/experiment of what ships). UserError where a header is not what it has to be.
    """
    paths = sorted((folder or conf_dir() / "experiment").glob("*.yaml"))
    headers = {path.stem: header(path) for path in paths}
    full = {name: _full(name, keys) for name, keys in headers.items() if "published" in keys}
    found = full | {name: _budget(name, keys, full) for name, keys in headers.items() if "budget_of" in keys}
    for recipe in found.values():
        if recipe.pair is not None and recipe.pair not in found:
            raise UserError(f"conf/experiment/{recipe.name}.yaml: pair {recipe.pair} is no recipe.")
    return {name: found[name] for name in sorted(found, key=_order)}


def _order(name: str) -> tuple[list[str], bool]:
    """z3 before z10, and a budget variant after its full recipe."""
    full = name.removesuffix(BUDGET_SUFFIX)
    return [part.zfill(6) if part.isdigit() else part for part in re.split(r"(\d+)", full)], name != full


def header(path: Path) -> dict[str, Any]:
    """The keys at the head of a file; none where its first lines are no `key: value`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line[2:] for line in takewhile(lambda line: line.startswith("# "), lines) if not line.startswith("# @")]
    try:
        keys = yaml.safe_load("\n".join(comment))
    except yaml.YAMLError as error:
        raise UserError(f"The header of {path.name} is no YAML: {' '.join(str(error).split())}.") from error
    return keys if isinstance(keys, dict) else {}


def _full(name: str, keys: dict[str, Any]) -> Recipe:
    _check(name, keys, [FULL, FULL | PAIRED])
    if keys["metric"] not in METRICS:
        raise UserError(f"conf/experiment/{name}.yaml: metric {keys['metric']} must be one of {', '.join(METRICS)}.")
    return Recipe(name=name, **keys)


def _budget(name: str, keys: dict[str, Any], full: dict[str, Recipe]) -> Recipe:
    _check(name, keys, [BUDGET])
    of = full.get(keys["budget_of"])
    if of is None or name != of.name + BUDGET_SUFFIX:
        raise UserError(f"conf/experiment/{name}.yaml: budget_of {keys['budget_of']} must be the recipe of that name.")
    return Recipe(
        name=name,
        paper=of.paper,
        table=of.table,
        setting=f"{of.name}: {keys['setting']}",
        metric=of.metric,
        published=of.published,
        tolerance=of.tolerance,
        evaluate=keys["evaluate"],
        pair=of.pair and of.pair + BUDGET_SUFFIX,
        gap_at_least=None,
        allowance=keys["allowance"],
        chosen=keys["chosen"],
        active_units=of.active_units,
    )


def _check(name: str, keys: dict[str, Any], allowed: list[set[str]]) -> None:
    if set(keys) - OPTIONAL not in allowed:
        wanted = ", ".join(sorted(allowed[0]))
        raise UserError(f"The header of conf/experiment/{name}.yaml has {', '.join(sorted(keys))}, and needs {wanted}.")
    for key in ("published", "tolerance", "allowance", "gap_at_least", *OPTIONAL):
        if key in keys and (isinstance(keys[key], bool) or not isinstance(keys[key], int | float)):
            raise UserError(f"conf/experiment/{name}.yaml: {key} {keys[key]} must be a number.")
