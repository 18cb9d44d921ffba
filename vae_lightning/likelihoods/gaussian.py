"""`likelihood=gaussian`: grey or coloured pixels in [0, 1] with Gaussian noise of a given σ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vae_lightning.errors import check_number
from vae_lightning.likelihoods.base import Likelihood


class Gaussian(Likelihood):
    """log p(x|z) = Σ_i −(x_i − μ_i)²/(2σ²) − log σ − ½ log 2π, with μ = decoder(z) and σ fixed.

    A density in nats per image: it may be above 0, and cannot be compared with a likelihood of binary pixels.
    """

    support = "real"
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int], sigma: float = 0.1) -> None:
        super().__init__(shape)
        self.sigma = check_number("sigma", sigma, 0, above=True)
        self.register_buffer("scale", torch.tensor(self.sigma), persistent=False)

    def forward(self, parameters: Tensor) -> Distribution:
        # float32 also under mixed precision
        return Independent(Normal(parameters.float(), self.scale, validate_args=False), 3, validate_args=False)
