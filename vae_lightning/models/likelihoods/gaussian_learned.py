"""`likelihood=gaussian_learned`: Gaussian pixels with one σ, learned with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood
from vae_lightning.models.likelihoods.scale import floored_log, inverse_floored_log


class GaussianLearned(Likelihood):
    """log p(x|z) = Σ_i −(x_i − μ_i)²/(2σ²) − log σ − ½ log 2π, with μ = decoder(z) and one learned σ for all pixels.

    A density in nats per image. σ adapts to the reconstruction error and takes the role of β: 1/(2σ²) weights the squared error
    against the KL (Lucas et al. 2019; Rybkin et al. 2021). sigma: initial value; min_sigma: lower limit;
    bias_from_data: start the decoder's last bias at the mean training image.
    """

    option = "likelihood=gaussian_learned"
    support = "real"
    unbounded = True

    def __init__(
        self, shape: tuple[int, int, int], sigma: float = 0.2, min_sigma: float = 0.001, bias_from_data: bool = False
    ) -> None:
        super().__init__(shape, bias_from_data)
        self.min_sigma = check_number("min_sigma", min_sigma, 0, above=True)
        self.log_sigma = nn.Parameter(
            torch.tensor(inverse_floored_log(check_number("sigma", sigma, min_sigma, above=True), min_sigma))
        )

    @property
    def sigma(self) -> Tensor:
        """The current σ, a scalar."""
        return floored_log(self.log_sigma.float(), self.min_sigma).exp()

    def forward(self, parameters: Tensor) -> Distribution:
        return Independent(Normal(parameters.float(), self.sigma, validate_args=False), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return mean_image
