"""`likelihood=gaussian_per_pixel`: Gaussian pixels; the decoder gives a mean and a σ for each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood
from vae_lightning.models.likelihoods.scale import floored_log


class GaussianPerPixel(Likelihood):
    """log p(x|z) = Σ_i −(x_i − μ_i)²/(2σ_i²) − log σ_i − ½ log 2π, with (μ, log σ) = decoder(z).

    (Kingma and Welling 2014, app. C.2.) A density in nats per image. The decoder gives 2·channels channels, μ first; σ stays
    above `min_sigma`, without which the density of 8-bit images is unbounded: compare only runs with the same min_sigma.
    bias_from_data: start the decoder's last bias at the mean training image, with σ = 1.
    """

    option = "likelihood=gaussian_per_pixel"
    support = "real"
    unbounded = True

    def __init__(self, shape: tuple[int, int, int], min_sigma: float = 0.05, bias_from_data: bool = False) -> None:
        super().__init__(shape, bias_from_data)
        self.min_sigma = check_number("min_sigma", min_sigma, 0, 1, above=True)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.shape
        return 2 * channels, height, width

    def forward(self, parameters: Tensor) -> Distribution:
        mean, log_sigma = parameters.float().chunk(2, -3)
        sigma = floored_log(log_sigma, self.min_sigma).exp()
        return Independent(Normal(mean, sigma, validate_args=False), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return torch.cat([mean_image, torch.zeros_like(mean_image)])
