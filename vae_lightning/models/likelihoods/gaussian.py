"""`likelihood=gaussian`: grey or coloured pixels in [0, 1] with Gaussian noise of a given σ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood


class Gaussian(Likelihood):
    """log p(x|z) = Σ_i −(x_i − μ_i)²/(2σ²) − log σ − ½ log 2π, with μ = decoder(z) and σ fixed.

    A density in nats per image: it may exceed 0, and is not comparable with a likelihood of binary pixels.
    bias_from_data: start the decoder's last bias at the mean training image.
    """

    option = "likelihood=gaussian"
    support = "real"
    unbounded = True

    def __init__(self, shape: tuple[int, int, int], sigma: float = 0.1, bias_from_data: bool = False) -> None:
        super().__init__(shape, bias_from_data)
        self.sigma = check_number("sigma", sigma, 0, above=True)

    def forward(self, parameters: Tensor) -> Distribution:
        mean = parameters.float()  # float32 also under mixed precision
        sigma = torch.full((), self.sigma, device=mean.device)
        return Independent(Normal(mean, sigma, validate_args=False), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return mean_image
