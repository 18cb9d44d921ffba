"""Records: what docs/results.md says of a run, kept beside it, since run folders do not last.

`<recipe>_seed<n>.json` is an `Attempt` with the settings that it was made with, `<recipe>_seed<n>.npz` the figure of each image,
where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from vae_lightning.files import atomic_write, read_json, write_json
from vae_lightning.reports.published.attempt import FILE_ERRORS, Attempt, number
from vae_lightning.reports.published.recipes import Recipe

ELSEWHERE = ("folder", "per_image", "stale")  # fields that a record's JSON does not hold


def write_record(folder: Path, recipe: Recipe, attempt: Attempt) -> None:
    """Writes the record of an evaluated run, over that of another one with its seed. OSError where it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}_seed{attempt.seed}.json"
    kept = {"recipe": recipe.name, **asdict(attempt)}
    write_json(path, {name: value for name, value in kept.items() if name not in ELSEWHERE})
    images = path.with_suffix(".npz")
    if attempt.per_image is None:
        images.unlink(missing_ok=True)
        return
    places, values = list(attempt.per_image), list(attempt.per_image.values())
    with atomic_write(images) as file:  # float32 is exact to 1e-5 nats, a thousandth of a standard error
        np.savez_compressed(file, examples=np.array(places, np.int32), values=np.array(values, np.float32))


def read_record(path: Path, known: Mapping[str, Recipe]) -> tuple[Recipe, Attempt]:
    """ValueError, with the reason, where it is none of these recipes or damaged."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError("it is damaged") from error
    recipe = known.get(str(content.pop("recipe", None)))
    if recipe is None:
        raise ValueError("it is of no recipe in conf/experiment")
    expected = {field.name: field for field in fields(Attempt) if field.name not in ELSEWHERE}
    missing = [name for name, field in expected.items() if field.default is MISSING and name not in content]
    if missing or set(content) - set(expected) or not _is_whole(content):
        raise ValueError("it is damaged")
    return recipe, Attempt(**content, folder=path, per_image=_per_image(path.with_suffix(".npz")))


def _is_whole(content: Mapping[str, Any]) -> bool:
    words = all(isinstance(content[name], str) for name in ("started", "hardware", "commit"))
    counts = all(isinstance(content.get(name), int | None) for name in ("samples", "images", "active_units"))
    numbers = all(number(content, name) is not None for name in ("value", "error", "seconds"))
    return words and counts and numbers and isinstance(content["seed"], int) and isinstance(content["settings"], dict)


def _per_image(path: Path) -> dict[int, float] | None:
    """None where there is no such file, or a damaged one: then there is no gap."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(zip(arrays["examples"].tolist(), arrays["values"].tolist(), strict=True))
    except FILE_ERRORS:
        return None
