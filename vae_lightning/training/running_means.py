"""Means over images, collected where the numbers are and read a few times an epoch only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class NotFinite(NamedTuple):
    """Where a NaN or an infinity was first met: the step, and the names of the values that were not finite there."""

    step: int
    names: tuple[str, ...]


class Means:
    """Weighted means of named scalars, whose names are those of the first values added.

    `add` only keeps references to tensors on their device (a metric logged at each step costs a tenth of the step); `totals`
    brings them to the host at once. The float64 sums are added up one step after the other, so that they are the same
    whenever, and however often, they are read. `not_finite` is set by `totals`.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sums: list[float] = []
        self.not_finite: NotFinite | None = None
        self._waiting: list[Tensor] = []
        self._weights: list[int] = []
        self._steps: list[int] = []

    def add(self, values: Mapping[str, Tensor], count: int, step: int = 0) -> None:
        """The means of `count` images at a training step."""
        if not self.names:
            self.names = tuple(values)
            self.sums = [0.0] * (len(self.names) + 1)
        self._waiting.extend(values[name].detach() for name in self.names)
        self._weights.append(count)
        self._steps.append(step)

    def totals(self) -> Tensor:
        """float64 (names + 1,): the sum over images of each metric, then the number of images. One host-device sync."""
        if self._weights:
            rows = torch.stack(self._waiting).cpu().double().view(-1, len(self.names)).tolist()
            for row, weight, step in zip(rows, self._weights, self._steps, strict=True):
                for i, value in enumerate([*row, 1.0]):
                    self.sums[i] += weight * value
                if self.not_finite is None and not all(map(math.isfinite, row)):
                    bad = (name for name, value in zip(self.names, row, strict=True) if not math.isfinite(value))
                    self.not_finite = NotFinite(step, tuple(bad))
            for waiting in (self._waiting, self._weights, self._steps):
                waiting.clear()
        return torch.tensor(self.sums, dtype=torch.float64)

    def means(self, totals: Tensor) -> dict[str, float]:
        """The named means that a difference or sum of `totals` stands for."""
        return dict(zip(self.names, (totals[:-1] / totals[-1]).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        self.totals()
        return {"names": list(self.names), "sums": list(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.names, self.sums = tuple(state["names"]), list(state["sums"])
