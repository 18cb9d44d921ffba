"""Real-valued data that are no images, such as signals and tables: standardised before the encoder, undone after the decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

NEGLIGIBLE = 1e-6  # of a column's mean: a standard deviation below it is rounding


class Standardisation(nn.Module):
    """x ↦ (x − m)/s for each of the numbers of x; m and s are buffers, kept in the checkpoint, 0 and 1 until `fit`.

    Args:
        shape: (channels, height, width) of x; (1, 1, D) for rows of D numbers.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    @torch.no_grad()
    def fit(self, parts: Iterable[Tensor]) -> int:
        """Set m and s to the mean and the standard deviation of each number over the training rows; of a constant one, s is 1.

        Args:
            parts: all training rows, a few at a time, each (rows, *shape).

        Returns:
            How many of the numbers are constant.
        """
        count, centre = 0, None
        for part in parts:
            rows = part.double()
            if centre is None:  # sums of differences from it do not cancel
                centre = rows[0]
                total, squares = torch.zeros_like(centre), torch.zeros_like(centre)
            count += len(rows)
            total += (rows - centre).sum(0)
            squares += (rows - centre).square().sum(0)
        if centre is None:
            raise ValueError("there are no training rows")
        mean = centre + total / count
        deviation = (squares / count - (total / count).square()).clamp_min(0).sqrt()
        constant = deviation <= NEGLIGIBLE * mean.abs()
        self.offset.copy_(mean)
        self.scale.copy_(torch.where(constant, 1.0, deviation))
        return int(constant.sum())

    def forward(self, x: Tensor) -> Tensor:
        """(…, *shape) in the data's units → standardised."""
        return (x - self.offset) / self.scale

    def undo(self, p: Distribution) -> Distribution:
        """Return the distribution of m + s·y in the data's units, y ~ p."""
        return Unstandardised(p, self.offset, self.scale)


class Unstandardised(Distribution):
    """The distribution of x = m + s·y, y ~ p: log p(x) = log p((x − m)/s) − Σ log s.

    Args:
        base: p, event_shape (channels, height, width).
        offset: m, (channels, height, width).
        scale: s > 0, of the same shape.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, base: Distribution, offset: Tensor, scale: Tensor) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base, self.offset, self.scale = base, offset, scale

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws have gradients: where those of p do."""
        return self.base.has_rsample

    @property
    def mean(self) -> Tensor:
        """E[x], (*batch_shape, *event_shape)."""
        return self.offset + self.scale * self.base.mean

    @property
    def variance(self) -> Tensor:
        """The variance of each number."""
        return self.scale.square() * self.base.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of x, without gradients."""
        return self.offset + self.scale * self.base.sample(torch.Size(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of x, with gradients."""
        return self.offset + self.scale * self.base.rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density in the data's units, (*batch_shape,)."""
        return self.base.log_prob((value - self.offset) / self.scale) - self.scale.log().sum()
