"""One finished run of a recipe, and the figures in its folder, each with care since files may be damaged."""

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

FILE_ERRORS = (OSError, EOFError, ValueError, KeyError, AttributeError, BadZipFile)  # numpy's, of a file that it did not write


@dataclass(frozen=True)
class Attempt:
    """A finished run of a recipe.

    value, error: its metric, and the standard error over images; None where it was not evaluated. samples: of the nll, None of
    another metric. per_image: the metric of each test image by its place, None where no file has it. images: how many the nll
    is the mean of. stale: there is such a file, and its mean is not `value`: it is of other weights or another k. active_units,
    latent_dim: of the weights that were evaluated. settings: as of `settings_of`. note: a sentence for the page.
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


def read_attempt(folder: Path, recipe: Recipe, config: Mapping[str, Any], results: Mapping[str, Any]) -> Attempt:
    """Of a folder with this configuration and this results.json."""
    figures, name = results.get(recipe.entry), recipe.metric.lstrip("-")
    figures = figures if isinstance(figures, dict) else {}
    sign = -1 if recipe.metric.startswith("-") else 1
    found, error = number(figures, name), number(figures, name + ERROR_SUFFIX)
    # training writes its test figures without errors, evaluate.py with them
    value = None if found is None or error is None else sign * found
    path = folder / f"per_image_{recipe.entry}.npz"
    per_image = None if value is None else _per_image(path, name, sign)
    stale = value is not None and per_image is not None and not _is_mean(value, per_image)
    return Attempt(
        folder=folder,
        seed=config["seed"],
        started=str(config.get("started")),
        value=value,
        error=error,
        samples=figures.get("nll_samples") if name == "nll" else None,
        per_image=None if stale else per_image,
        seconds=number(results, "seconds") or 0.0,
        hardware=str(results.get("hardware") or results.get("device")),
        commit=str(results.get("git_commit") or "unknown"),
        settings=settings_of(config),
        images=figures.get("nll_images") if name == "nll" else None,
        stale=stale,
        active_units=figures.get("active_units"),
        latent_dim=config["latent_dim"],
    )


def number(figures: Mapping[str, Any], name: str) -> float | None:
    """A finite number; None where there is none."""
    value = figures.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _is_mean(value: float, per_image: Mapping[int, float]) -> bool:
    return bool(per_image) and math.isclose(fmean(per_image.values()), value, rel_tol=1e-6)


def _per_image(path: Path, name: str, sign: int) -> Mapping[int, float] | None:
    """The figure of each image that has one, by its place; None where no file has it, empty where the file is damaged."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            if name not in arrays:
                return None
            pairs: Sequence[tuple[int, float]] = list(zip(arrays["examples"].tolist(), arrays[name].tolist(), strict=True))
    except FILE_ERRORS:
        return {}
    return {place: sign * value for place, value in pairs if np.isfinite(value)}
