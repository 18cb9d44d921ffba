"""Running means of training metrics over images, summed on the host only when they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class NotFinite(NamedTuple):
    """The first step with a NaN or an infinity, and the names of the values that were not finite there."""

    step: int
    names: tuple[str, ...]


class Means:
    """Means of named scalars, weighted by the number of images. The names are those of the first values added.

    `add` only keeps references to tensors on their device, since logging a metric at each step is slow; `totals` copies them to
    the host all at once. The float64 sums are added in the order of the steps, so that they do not depend on when or how often
    they are read. `totals` also sets `not_finite`.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sums: list[float] = []
        self.not_finite: NotFinite | None = None
        self._pending: list[Tensor] = []
        self._weights: list[int] = []
        self._steps: list[int] = []

    def add(self, values: Mapping[str, Tensor], count: int, step: int = 0) -> None:
        """Add the means over `count` images at a training step."""
        if not self.names:
            self.names = tuple(values)
            self.sums = [0.0] * (len(self.names) + 1)
        self._pending.extend(values[name].detach() for name in self.names)
        self._weights.append(count)
        self._steps.append(step)

    def totals(self) -> Tensor:
        """Return the sum of each metric over images and the number of images: float64, (names + 1,). Wait for the device once."""
        if self._weights:
            rows = torch.stack(self._pending).cpu().double().view(-1, len(self.names)).tolist()
            for row, weight, step in zip(rows, self._weights, self._steps, strict=True):
                for i, value in enumerate([*row, 1.0]):
                    self.sums[i] += weight * value
                if self.not_finite is None and not all(map(math.isfinite, row)):
                    bad = (name for name, value in zip(self.names, row, strict=True) if not math.isfinite(value))
                    self.not_finite = NotFinite(step, tuple(bad))
            for pending in (self._pending, self._weights, self._steps):
                pending.clear()
        return torch.tensor(self.sums, dtype=torch.float64)

    def means(self, totals: Tensor) -> dict[str, float]:
        """Return the means by name, from `totals` or a sum or difference of several."""
        return dict(zip(self.names, (totals[:-1] / totals[-1]).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        self.totals()
        return {"names": list(self.names), "sums": list(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.names, self.sums = tuple(state["names"]), list(state["sums"])
