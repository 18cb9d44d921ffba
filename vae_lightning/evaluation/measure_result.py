"""What a measure answers with, and how uncertain a figure is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_lightning.evaluation.measures.base import ERROR_SUFFIX
from vae_lightning.noise import derive_seed


@dataclass
class MeasureResult:
    """Named figures (numbers, or lists over latent dimensions) and plain sentences about them, or about what is left out."""

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, error: float | None = None) -> None:
        self.values[name] = value
        if error is not None and math.isfinite(error):
            self.values[name + ERROR_SUFFIX] = error

    def add_mean(self, name: str, values: Tensor) -> None:
        """The mean over images of `values` (images,) with its standard error."""
        self.add(name, values.double().mean().item(), mean_error(values))

    def update(self, other: MeasureResult) -> None:
        """With the other's figures, and its sentences that were not said yet: two measures may answer with the same one."""
        self.values |= other.values
        self.notes += [note for note in other.notes if note not in self.notes]


def mean_error(values: Tensor) -> float:
    """The standard error s/√n of a mean over n independent values; nan for one."""
    return values.double().std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan


def bootstrap_error(statistic: Callable[[np.ndarray], float], size: int, seed: int = 0, resamples: int = 200) -> float:
    """The standard deviation of `statistic(places)` over resamples, with replacement, of `size` places (Efron 1979)."""
    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    return float(np.std([statistic(rng.integers(0, size, size)) for _ in range(resamples)], ddof=1))


def group_error(statistic: Callable[[np.ndarray], dict[str, float]], size: int, groups: int = 5) -> dict[str, float]:
    """The standard error of each figure of `statistic(places)`, from its spread over disjoint groups of the `size` images.

    For statistics that cost too much to be resampled, or that repeated images would change (distances, nearest neighbours).
    """
    if size < 2 * groups:
        return {}
    found = [statistic(np.arange(size)[g::groups]) for g in range(groups)]
    return {name: float(np.std([f[name] for f in found], ddof=1)) / math.sqrt(groups) for name in found[0]}


def evenly_spaced(size: int, count: int | None) -> Tensor:
    """`count` places (all: None) spread evenly over 0 … size − 1, since the images of a split may be sorted."""
    if count is None or count >= size:
        return torch.arange(size)
    return torch.arange(count) * size // count


def listing(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
