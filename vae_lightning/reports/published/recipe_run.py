"""One finished run of a recipe, read from its folder. Any file there may be damaged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from zipfile import BadZipFile

import numpy as np

from vae_lightning.evaluation.measure_result import ERROR_SUFFIX
from vae_lightning.reports.published.recipe_settings import settings_of
from vae_lightning.reports.published.recipes import Recipe

# what NumPy raises for a file that it did not write
FILE_ERRORS = (OSError, EOFError, ValueError, KeyError, AttributeError, BadZipFile)


@dataclass(frozen=True)
class RecipeRun:
    """A finished run of a recipe.

    Attributes:
        value: the recipe's metric in nats per image; None if the run was not evaluated.
        error: the standard error of `value` over images.
        samples: the number of importance samples of an nll; None for other metrics.
        per_image: the metric of each test image by its index; None if the run has no file of them.
        settings: see `settings_of`.
        images: the number of images that an nll is averaged over.
        stale: whether the mean of the per-image file differs from `value`, since it is from other weights or another k.
        active_units: active units of the evaluated weights.
        note: a sentence for the page.
    """

    folder: Path
    seed: int
    started: str
    value: float | None
    error: float | None
    samples: int | None
    per_image: Mapping[int, float] | None
    seconds: float
    hardware: str
    commit: str
    settings: Mapping[str, Any]
    images: int | None = None
    stale: bool = False
    active_units: int | None = None
    latent_dim: int = 0
    note: str = ""


def read_run(folder: Path, recipe: Recipe, config: Mapping[str, Any], results: Mapping[str, Any]) -> RecipeRun:
    """Read a run folder with this configuration and this content of results.json."""
    metrics, name = results.get(recipe.entry), recipe.metric.lstrip("-")
    metrics = metrics if isinstance(metrics, dict) else {}
    sign = -1 if recipe.metric.startswith("-") else 1
    found, error = number(metrics, name), number(metrics, name + ERROR_SUFFIX)
    # training writes test metrics without standard errors, evaluate.py with them
    value = None if found is None or error is None else sign * found
    path = folder / f"per_image_{recipe.entry}.npz"
    per_image = None if value is None else _per_image(path, name, sign)
    stale = value is not None and per_image is not None and not _is_mean(value, per_image)
    return RecipeRun(
        folder=folder,
        seed=config["seed"],
        started=str(config.get("started")),
        value=value,
        error=error,
        samples=metrics.get("nll_samples") if name == "nll" else None,
        per_image=None if stale else per_image,
        seconds=number(results, "seconds") or 0.0,
        hardware=str(results.get("hardware") or results.get("device")),
        commit=str(results.get("git_commit") or "unknown"),
        settings=settings_of(config),
        images=metrics.get("nll_images") if name == "nll" else None,
        stale=stale,
        active_units=metrics.get("active_units"),
        latent_dim=config["latent_dim"],
    )


def number(values: Mapping[str, Any], name: str) -> float | None:
    """Return the value of that name if it is a finite number, else None."""
    value = values.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _is_mean(value: float, per_image: Mapping[int, float]) -> bool:
    return bool(per_image) and math.isclose(fmean(per_image.values()), value, rel_tol=1e-6)


def _per_image(path: Path, name: str, sign: int) -> Mapping[int, float] | None:
    """Return the metric of each image by index; None if there is no such file, empty if it is damaged."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            if name not in arrays:
                return None
            pairs: Sequence[tuple[int, float]] = list(zip(arrays["examples"].tolist(), arrays[name].tolist(), strict=True))
    except FILE_ERRORS:
        return {}
    return {index: sign * value for index, value in pairs if np.isfinite(value)}
