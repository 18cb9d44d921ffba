"""The published value of each recipe of conf/experiment: the `published` mapping of its file.

| key | in a full recipe |
|---|---|
| paper, table, setting | where the value was published, and how it was obtained |
| metric | `nll` or `-elbo` |
| value, tolerance | nats per image; our value must lie within the tolerance. Neither if no such number was published |
| pair, gap_at_least | optional: the recipe that this one improves on, and by how many nats at least |
| active_units | optional: the number of active units that the paper reports |
| evaluate | the arguments of evaluate.py |

A budget variant is a shorter run of the recipe `budget_of`, and inherits its other keys. It has its own `setting` and
`evaluate`. No paper reports such a run, so that its value is held against nothing; a pair of them shows a gap.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.config.builtin import PUBLISHED, conf_dir
from vae_lightning.errors import UserError, check_choice, check_int, check_number, format_value

METRICS = ("nll", "-elbo")
FULL = ("paper", "table", "setting", "metric", "evaluate")
TOGETHER = (("value", "tolerance"), ("pair", "gap_at_least"))  # both or neither
OPTIONAL = ("active_units",)
BUDGET = ("budget_of", "setting", "evaluate")
NUMBERS = ("value", "tolerance", "gap_at_least")
BUDGET_SUFFIX = "_budget"


@dataclass(frozen=True)
class Recipe:
    """A recipe and its published value.

    Attributes:
        value: the published value; like tolerance and gap_at_least in nats per image. None if there is none.
        pair: the recipe that this one improves on; for a budget variant, the budget variant of that recipe.
        gap_at_least: None for a budget variant.
        is_budget: whether this is a budget variant.
    """

    name: str
    paper: str
    table: str
    setting: str
    metric: str
    evaluate: str
    value: float | None = None
    tolerance: float | None = None
    pair: str | None = None
    gap_at_least: float | None = None
    active_units: int | None = None
    is_budget: bool = False

    @property
    def entry(self) -> str:
        """The entry of results.json that `evaluate` writes."""
        return "test_last" if "checkpoint=last" in self.evaluate.split() else "test"

    def agrees(self, ours: float) -> bool | None:
        """Whether our value is within the tolerance of the published one; None for a budget variant or without such a value."""
        if self.is_budget or self.value is None or self.tolerance is None:
            return None
        return abs(ours - self.value) <= self.tolerance


def recipes(folder: Path | None = None) -> dict[str, Recipe]:
    """Return all recipes by name, in natural order, each budget variant after its full recipe.

    Args:
        folder: the folder of experiment files; by default the conf/experiment that ships.

    Raises:
        UserError: a `published` mapping has missing, unknown or wrong keys.
    """
    paths = sorted((folder or conf_dir() / "experiment").glob("*.yaml"))
    published = {path.stem: keys for path in paths if (keys := published_keys(path)) is not None}
    full = {name: _full(name, keys) for name, keys in published.items() if "budget_of" not in keys}
    found = full | {name: _budget(name, keys, full) for name, keys in published.items() if "budget_of" in keys}
    for recipe in found.values():
        if recipe.pair is not None and recipe.pair not in found:
            raise _error(recipe.name, f"pair={recipe.pair} is not a recipe.")
    return {name: found[name] for name in sorted(found, key=_natural_order)}


def _natural_order(name: str) -> tuple[list[str], bool]:
    """z3 before z10, and a budget variant after its full recipe."""
    full = name.removesuffix(BUDGET_SUFFIX)
    return [part.zfill(6) if part.isdigit() else part for part in re.split(r"(\d+)", full)], name != full


def published_keys(path: Path) -> dict[str, Any] | None:
    """Return the file's own `published` mapping, without what its defaults bring; None if it has none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"conf/experiment/{path.name} is not valid YAML: {' '.join(str(error).split())}.") from error
    keys = content.get(PUBLISHED) if isinstance(content, dict) else None
    if keys is not None and not isinstance(keys, dict):
        raise UserError(f"conf/experiment/{path.name}: {PUBLISHED}={format_value(keys)} must be a mapping.")
    return keys


def _full(name: str, keys: Mapping[str, Any]) -> Recipe:
    wanted = {*FULL, *(key for pair in TOGETHER if set(pair) & set(keys) for key in pair)}
    _check(name, keys, wanted, (*OPTIONAL, *(key for pair in TOGETHER for key in pair)))
    return Recipe(name=name, **keys)


def _budget(name: str, keys: Mapping[str, Any], full: Mapping[str, Recipe]) -> Recipe:
    _check(name, keys, BUDGET)
    base = full.get(keys["budget_of"])
    if base is None or name != base.name + BUDGET_SUFFIX:
        expected = name.removesuffix(BUDGET_SUFFIX)
        raise _error(name, f"budget_of={format_value(keys['budget_of'])} must name the full recipe, {expected}.")
    return Recipe(
        name=name,
        paper=base.paper,
        table=base.table,
        setting=f"{base.name}: {keys['setting']}",
        metric=base.metric,
        evaluate=keys["evaluate"],
        value=base.value,
        pair=base.pair and base.pair + BUDGET_SUFFIX,
        active_units=base.active_units,
        is_budget=True,
    )


def _check(name: str, keys: Mapping[str, Any], wanted: Collection[str], optional: Collection[str] = ()) -> None:
    missing, unknown = sorted(set(wanted) - set(keys)), sorted(set(map(str, keys)) - set(wanted) - set(optional))
    if missing:
        raise _error(name, f"missing {', '.join(missing)}.")
    if unknown:
        raise _error(
            name, f"unknown key {', '.join(unknown)}; the keys are {', '.join(dict.fromkeys([*sorted(wanted), *optional]))}."
        )
    try:
        for key, value in keys.items():
            if key == "metric":
                check_choice(key, value, METRICS)
            elif key in NUMBERS:
                check_number(key, value)
            elif key in OPTIONAL:
                check_int(key, value, 0)
            elif not isinstance(value, str):
                raise UserError(f"{key}={format_value(value)}: must be text.")
    except UserError as error:
        raise _error(name, str(error)) from error


def _error(name: str, message: str) -> UserError:
    return UserError(f"conf/experiment/{name}.yaml: {PUBLISHED}: {message}")
