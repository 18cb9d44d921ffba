"""Means over images, collected where the numbers are and read a few times an epoch only."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch import distributed as dist


class Means:
    """Weighted means of named scalars, whose names are those of the first that are added.

    `add` only keeps references to tensors on their device (a metric logged at each step costs a tenth of the step); `totals`
    brings them to the host at once, as float64 sums.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sums = torch.zeros(1, dtype=torch.float64)
        self._waiting: list[Tensor] = []
        self._weights: list[int] = []

    def add(self, values: Mapping[str, Tensor], count: int) -> None:
        """The means of `count` images by name, the same names at each call."""
        if not self.names:
            self.names = tuple(values)
            self.sums = torch.zeros(len(self.names) + 1, dtype=torch.float64)
        self._waiting.extend(value.detach() for value in values.values())
        self._weights.append(count)

    def totals(self) -> Tensor:
        """float64 (names + 1,): the sum over images of each metric, then the number of images. One host-device sync."""
        if self._weights:
            weights = torch.tensor(self._weights, dtype=torch.float64)
            values = torch.stack(self._waiting).cpu().double().view(len(weights), len(self.names))
            self.sums[:-1] += weights @ values
            self.sums[-1] += weights.sum()
            self._waiting.clear()
            self._weights.clear()
        return self.sums.clone()

    def means(self, totals: Tensor) -> dict[str, float]:
        """The named means that a difference or sum of `totals` stands for."""
        return dict(zip(self.names, (totals[:-1] / totals[-1]).tolist(), strict=True))


def sum_over_ranks(values: Tensor, device: torch.device) -> Tensor:
    """The sum of a float64 host tensor over all processes of the run."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    summed = values.to(device)
    dist.all_reduce(summed)
    return summed.cpu()
