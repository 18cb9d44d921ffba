"""What a measure returns, and standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_lightning.evaluation.measures.base import ERROR_SUFFIX
from vae_lightning.noise import derive_seed


@dataclass
class MeasureResult:
    """Values by metric name, and notes for the user: what a value means, or why it is missing.

    Args:
        values: numbers, lists over latent dimensions, or numbers by number of samples; standard errors beside them.
        notes: whole sentences.
    """

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, error: float | None = None) -> None:
        """Add a value with its standard error, if that is known.

        Args:
            name: the metric.
            value: its value.
            error: its standard error; None if it is unknown.
        """
        self.values[name] = value
        if error is not None and math.isfinite(error):
            self.values[name + ERROR_SUFFIX] = error

    def add_mean(self, name: str, values: Tensor) -> None:
        """Add the mean of `values` (images,) with its standard error."""
        self.add(name, values.double().mean().item(), mean_error(values))

    def update(self, other: MeasureResult) -> None:
        """Add the values of another result, and those of its notes that are not here yet."""
        self.values |= other.values
        self.notes += [note for note in other.notes if note not in self.notes]


def mean_error(values: Tensor) -> float:
    """Return the standard error s/√n of the mean of n independent values; NaN for one value."""
    return values.double().std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan


def bootstrap_error(statistic: Callable[[np.ndarray], float], size: int, seed: int = 0, resamples: int = 200) -> float:
    """Return the standard deviation of `statistic(indices)` over bootstrap resamples of `size` indices (Efron 1979).

    Args:
        statistic: maps indices, (size,), to the value.
        size: number of images.
        seed: seed of the resamples.
        resamples: number of resamples.
    """
    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    return float(np.std([statistic(rng.integers(0, size, size)) for _ in range(resamples)], ddof=1))


def group_error(statistic: Callable[[np.ndarray], dict[str, float]], size: int, groups: int = 5) -> dict[str, float]:
    """Return the standard error of each value of `statistic(indices)`, from its spread over disjoint groups of the `size` images.

    For statistics that are too expensive for the bootstrap, or that repeated images would change (distances, nearest
    neighbours). Empty if there are too few images.

    Args:
        statistic: maps indices to values by name.
        size: number of images.
        groups: number of groups.
    """
    if size < 2 * groups:
        return {}
    found = [statistic(np.arange(size)[g::groups]) for g in range(groups)]
    return {name: float(np.std([f[name] for f in found], ddof=1)) / math.sqrt(groups) for name in found[0]}


def evenly_spaced(size: int, count: int | None) -> Tensor:
    """`count` indices (None: all) spread evenly over 0 … size − 1, since the images of a split may be sorted."""
    if count is None or count >= size:
        return torch.arange(size)
    return torch.arange(count) * size // count
