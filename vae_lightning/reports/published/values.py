"""Means over seeds with their standard errors, and the paired gap between two recipes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vae_lightning.reports.published.attempt import Attempt
from vae_lightning.reports.published.recipes import Recipe


@dataclass(frozen=True)
class MeanWithErrors:
    """Nats per image. over_images, over_seeds: standard errors, what other images and other seeds would change (None for one)."""

    mean: float
    over_images: float
    over_seeds: float | None
    seeds: tuple[int, ...]

    @property
    def error(self) -> float:
        """Both together."""
        return math.hypot(self.over_images, self.over_seeds or 0.0)


@dataclass(frozen=True)
class Gap:
    """How much lower the better one's figure is, image by image. holds: whether it is as large as it has to be."""

    better: Recipe
    worse: Recipe
    figure: MeanWithErrors
    images: int
    holds: bool


def mean_over_seeds(found: Sequence[Attempt]) -> MeanWithErrors | None:
    """The mean over seeds of those that were evaluated; None where none was.

    over_images is the mean of the runs' errors: all of them are measured on the same images, so seeds do not lessen it.
    """
    done = [a for a in found if a.value is not None and a.error is not None]
    if not done:
        return None
    values = [a.value for a in done if a.value is not None]
    errors = [a.error for a in done if a.error is not None]
    return MeanWithErrors(statistics.fmean(values), statistics.fmean(errors), seed_error(values), tuple(a.seed for a in done))


def seed_error(values: Sequence[float]) -> float | None:
    """s/√n over seeds; None for one."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def paired_gap(better: Recipe, worse: Recipe, found: dict[str, list[Attempt]]) -> Gap | str:
    """mean_i (worse_i − better_i) over test images i, with the standard error s/√n of these differences; or why there is none.

    Runs of the same seed are paired, and each image's differences averaged over seeds first. As large as it has to be: at least
    `gap_at_least` of the better one; of budget variants, above 0 by two standard errors.
    """
    pairs = _pairs(better, worse, found)
    if isinstance(pairs, str):
        return pairs
    places = sorted(set.intersection(*(set(values) for a, b in pairs for values in (_values(a), _values(b)))))
    if len(places) < 2:
        return "the two were measured on different images"
    each = np.array([[_values(b)[place] - _values(a)[place] for place in places] for a, b in pairs])
    error = float(each.mean(0).std(ddof=1)) / math.sqrt(len(places))
    seeds = tuple(a.seed for a, _ in pairs)
    figure = MeanWithErrors(float(each.mean()), error, seed_error([float(row.mean()) for row in each]), seeds)
    least = better.gap_at_least
    return Gap(better, worse, figure, len(places), figure.mean >= (2 * figure.error if least is None else least))


def _pairs(better: Recipe, worse: Recipe, found: dict[str, list[Attempt]]) -> list[tuple[Attempt, Attempt]] | str:
    """Runs of both of the same seed, with a figure for each image."""
    if any(mean_over_seeds(found.get(recipe.name, [])) is None for recipe in (better, worse)):
        return "not run"
    of_worse = {a.seed: a for a in found[worse.name] if a.per_image}
    pairs = [(a, of_worse[a.seed]) for a in found[better.name] if a.per_image and a.seed in of_worse]
    if not pairs:
        return "no runs of one seed with per_image=true"
    samples = sorted({str(attempt.samples) for pair in pairs for attempt in pair})
    return pairs if len(samples) == 1 else f"nll_samples differ ({', '.join(samples)})"


def _values(attempt: Attempt) -> dict[int, float]:
    assert attempt.per_image is not None
    return dict(attempt.per_image)
