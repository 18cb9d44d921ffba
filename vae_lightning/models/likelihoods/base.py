"""The base class of likelihoods."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from vae_lightning.errors import check_bool


class Likelihood(nn.Module):
    """p(x|z) for images of `shape` (channels, height, width) with float pixels in [0, 1].

    Attributes:
        option: its name on the command line, such as `likelihood=bernoulli`.
        support: "binary" if x is 0 or 1; "real" for grey and coloured pixels, which are never binarised.
        unbounded: whether x may be any numbers, so that it is for real-valued data too.
        discrete_levels: n if x is one of the levels k/(n − 1); log_prob is then a log-probability, at most 0, and bits/dim are
            defined. None if x is binary, or continuous, where log_prob is a log-density.

    Args:
        shape: (channels, height, width).
        bias_from_data: start training from the mean training image (`initial_parameters`, `VAE.start_from_mean_image`).
    """

    option: ClassVar[str]
    support: ClassVar[Literal["binary", "real"]]
    unbounded: ClassVar[bool] = False
    discrete_levels: ClassVar[int | None] = None

    def __init__(self, shape: tuple[int, int, int], bias_from_data: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.bias_from_data = check_bool("bias_from_data", bias_from_data)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """The shape of the decoder's output; one parameter per pixel unless a likelihood overrides it."""
        return self.shape

    def forward(self, parameters: Tensor) -> Distribution:
        """(..., *out_shape) → p(x|z), batch_shape (...), event_shape (channels, height, width)."""
        raise NotImplementedError

    def initial_parameters(self, mean_image: Tensor) -> Tensor | None:
        """Return the decoder output (*out_shape) for which E[x|z] is about `mean_image` (*shape); None if there is none."""
        return None
