"""Records: what docs/results.md says about a run, stored next to it, since run folders get deleted.

`<recipe>_seed<n>.json` is a `RecipeRun` with its settings; `<recipe>_seed<n>.npz` has the metric of each image, if known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from vae_lightning.errors import RunError
from vae_lightning.files import atomic_write, write_json
from vae_lightning.readers import read_json_with_nan
from vae_lightning.reports.published.recipe_run import FILE_ERRORS, RecipeRun, number
from vae_lightning.reports.published.recipes import Recipe

NOT_IN_JSON = ("folder", "per_image", "stale")


def write_record(folder: Path, recipe: Recipe, run: RecipeRun) -> None:
    """Write the record of an evaluated run, replacing an earlier one with the same seed.

    Raises:
        OSError: the files cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}_seed{run.seed}.json"
    kept = {"recipe": recipe.name, **asdict(run)}
    write_json(path, {name: value for name, value in kept.items() if name not in NOT_IN_JSON})
    images = path.with_suffix(".npz")
    if run.per_image is None:
        images.unlink(missing_ok=True)
        return
    indices, values = list(run.per_image), list(run.per_image.values())
    with atomic_write(images) as file:  # float32 is exact to 1e-5 nats, a thousandth of a standard error
        np.savez_compressed(file, examples=np.array(indices, np.int32), values=np.array(values, np.float32))


def read_record(path: Path, known: Mapping[str, Recipe]) -> tuple[Recipe, RecipeRun]:
    """Read a record.

    Raises:
        ValueError: the record is damaged or its recipe is not one of `known`.
    """
    try:
        content = read_json_with_nan(path)
    except (OSError, RunError) as error:
        raise ValueError("it is damaged") from error
    recipe = known.get(str(content.pop("recipe", None)))
    if recipe is None:
        raise ValueError("its recipe is not in conf/experiment")
    expected = {field.name: field for field in fields(RecipeRun) if field.name not in NOT_IN_JSON}
    missing = [name for name, field in expected.items() if field.default is MISSING and name not in content]
    if missing or set(content) - set(expected) or not _is_valid(content):
        raise ValueError("it is damaged")
    return recipe, RecipeRun(**content, folder=path, per_image=_per_image(path.with_suffix(".npz")))


def _is_valid(content: Mapping[str, Any]) -> bool:
    texts = all(isinstance(content[name], str) for name in ("started", "hardware", "commit"))
    counts = all(isinstance(content.get(name), int | None) for name in ("samples", "images", "active_units"))
    numbers = all(number(content, name) is not None for name in ("value", "error", "seconds"))
    return texts and counts and numbers and isinstance(content["seed"], int) and isinstance(content["settings"], dict)


def _per_image(path: Path) -> dict[int, float] | None:
    """Return the metric of each image by index; None if the file is missing or damaged, and then there is no paired gap."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(zip(arrays["examples"].tolist(), arrays["values"].tolist(), strict=True))
    except FILE_ERRORS:
        return None
