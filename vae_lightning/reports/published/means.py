"""Means over seeds with their standard errors, and the paired gap between two recipes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vae_lightning.reports.published.find_runs import RunsByRecipe
from vae_lightning.reports.published.recipe_run import RecipeRun
from vae_lightning.reports.published.recipes import Recipe


@dataclass(frozen=True)
class MeanWithErrors:
    """A mean in nats per image with two standard errors: over test images, and over seeds (None for one seed)."""

    mean: float
    over_images: float
    over_seeds: float | None
    seeds: tuple[int, ...]

    @property
    def error(self) -> float:
        """Both standard errors combined."""
        return math.hypot(self.over_images, self.over_seeds or 0.0)


@dataclass(frozen=True)
class Gap:
    """How much lower the better recipe's metric is, image by image, and whether that gap is as large as required."""

    better: Recipe
    worse: Recipe
    difference: MeanWithErrors
    images: int
    reached: bool


def mean_over_seeds(runs: Sequence[RecipeRun]) -> MeanWithErrors | None:
    """Return the mean over the evaluated seeds; None if no run was evaluated.

    `over_images` is the mean of the runs' errors: all runs are measured on the same images, so more seeds do not reduce it.
    """
    done = [run for run in runs if run.value is not None and run.error is not None]
    if not done:
        return None
    values = [run.value for run in done if run.value is not None]
    errors = [run.error for run in done if run.error is not None]
    return MeanWithErrors(statistics.fmean(values), statistics.fmean(errors), seed_error(values), tuple(run.seed for run in done))


def seed_error(values: Sequence[float]) -> float | None:
    """Return the standard error s/√n over seeds; None for one seed."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def paired_gap(better: Recipe, worse: Recipe, found: RunsByRecipe) -> Gap | str:
    """Return the mean over test images i of worse_i − better_i, with the standard error s/√n of these differences.

    Runs with the same seed are paired, and each image's differences are averaged over seeds first. A full recipe must reach
    its `gap_at_least`; a budget variant must be above 0 by two standard errors.

    Returns:
        The gap, or the reason for not having one.
    """
    pairs = _pairs(better, worse, found)
    if isinstance(pairs, str):
        return pairs
    images = sorted(set.intersection(*(set(values) for a, b in pairs for values in (_per_image(a), _per_image(b)))))
    if len(images) < 2:
        return "the two were measured on different images"
    each = np.array([[_per_image(b)[image] - _per_image(a)[image] for image in images] for a, b in pairs])
    error = float(each.mean(0).std(ddof=1)) / math.sqrt(len(images))
    seeds = tuple(a.seed for a, _ in pairs)
    difference = MeanWithErrors(float(each.mean()), error, seed_error([float(row.mean()) for row in each]), seeds)
    least = better.gap_at_least
    return Gap(better, worse, difference, len(images), difference.mean >= (2 * difference.error if least is None else least))


def _pairs(better: Recipe, worse: Recipe, found: RunsByRecipe) -> list[tuple[RecipeRun, RecipeRun]] | str:
    """Pair the runs of the two recipes that have the same seed and a value for each image; or say why there are none."""
    if any(mean_over_seeds(found.get(recipe.name, [])) is None for recipe in (better, worse)):
        return "not run"
    of_worse = {run.seed: run for run in found[worse.name] if run.per_image}
    pairs = [(run, of_worse[run.seed]) for run in found[better.name] if run.per_image and run.seed in of_worse]
    if not pairs:
        return "no runs with the same seed and per_image=true"
    samples = sorted({str(run.samples) for pair in pairs for run in pair})
    return pairs if len(samples) == 1 else f"nll_samples differ ({', '.join(samples)})"


def _per_image(run: RecipeRun) -> dict[int, float]:
    assert run.per_image is not None
    return dict(run.per_image)
