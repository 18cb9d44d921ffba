"""What every likelihood says of itself."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution


class Likelihood(nn.Module):
    """p(x|z) for images of `shape` (channels, height, width)."""

    support: ClassVar[Literal["binary", "real"]]
    # how many values a pixel has where log_prob is a log-probability of them (256: bits/dim are reported), else None
    discrete_levels: ClassVar[int | None] = None

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """The shape of the decoder's output; one parameter per pixel unless a likelihood says otherwise."""
        return self.shape

    def forward(self, parameters: Tensor) -> Distribution:
        """(..., *out_shape) → p(x|z), batch_shape (...), event_shape (channels, height, width)."""
        raise NotImplementedError
