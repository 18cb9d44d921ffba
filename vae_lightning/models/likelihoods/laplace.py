"""`likelihood=laplace`: grey or coloured pixels in [0, 1] with Laplace noise: absolute error instead of squared error."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as TorchLaplace

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood


class Laplace(Likelihood):
    """log p(x|z) = Σ_i −|x_i − μ_i|/b − log 2b, with μ = decoder(z), the mean and median, and fixed b = `scale`.

    A density in nats per image: it may exceed 0. bias_from_data: start the decoder's last bias at the mean training image.
    """

    option = "likelihood=laplace"
    support = "real"
    unbounded = True

    def __init__(self, shape: tuple[int, int, int], scale: float = 0.1, bias_from_data: bool = False) -> None:
        super().__init__(shape, bias_from_data)
        self.scale = check_number("scale", scale, 0, above=True)

    def forward(self, parameters: Tensor) -> Distribution:
        mean = parameters.float()  # float32 also under mixed precision
        scale = torch.full((), self.scale, device=mean.device)
        return Independent(TorchLaplace(mean, scale, validate_args=False), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return mean_image
