"""`likelihood=gaussian_optimal`: Gaussian pixels with the σ that is optimal for the batch, the σ-VAE (Rybkin et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood


class GaussianOptimal(Likelihood):
    """log p(x|z) = Σ_i −(x_i − μ_i)²/(2σ²) − log σ − ½ log 2π, with μ = decoder(z) and σ² = mean of (x − μ)².

    (Rybkin et al. 2021.) A density in nats per image. The mean is over all pixels, images and draws of one process's training
    batch. This σ maximises log p(x|z) of the batch, so the ELBO's gradient through σ is zero; no bound takes a gradient through
    it. σ weights the squared error against the KL, so there is no β to tune.

    Outside training, σ is a constant of the run, so that log p(x|z) of an image does not depend on its batch: the square root of
    `mse`, which is the mean squared error over the first 1/momentum training batches, then an exponential moving average, kept in
    the checkpoint. "Training" means training mode with gradients; before the first such batch σ is 1. Values logged in training
    use each batch's optimal σ, so they are slightly higher than those of the same images at the run's σ.
    min_sigma: lower limit of σ.
    bias_from_data: start the decoder's last bias at the mean training image.
    """

    option = "likelihood=gaussian_optimal"
    support = "real"
    unbounded = True
    mse: Tensor
    batches: Tensor

    def __init__(
        self, shape: tuple[int, int, int], momentum: float = 0.01, min_sigma: float = 0.001, bias_from_data: bool = False
    ) -> None:
        super().__init__(shape, bias_from_data)
        self.momentum = check_number("momentum", momentum, 0, 1, above=True)
        self.min_sigma = check_number("min_sigma", min_sigma, 0, 1, above=True)
        self.register_buffer("mse", torch.ones(()))
        self.register_buffer("batches", torch.zeros(()))

    @property
    def sigma(self) -> Tensor:
        """The run's σ, a scalar."""
        return self.best_sigma(self.mse)

    def best_sigma(self, mse: Tensor) -> Tensor:
        """Return the σ ≥ min_sigma that maximises −mse/(2σ²) − log σ, with the shape of `mse`."""
        return mse.sqrt().clamp_min(self.min_sigma)

    @torch.no_grad()
    def observe(self, mse: Tensor) -> None:
        """Update the run's mean squared error with that of a training batch."""
        self.batches += 1
        self.mse.lerp_(mse, (1 / self.batches).clamp_min(self.momentum))

    def forward(self, parameters: Tensor) -> Distribution:
        mean = parameters.float()  # float32 also under mixed precision
        if self.training and torch.is_grad_enabled():
            return OptimalSigmaNormal(mean, self)
        return Independent(Normal(mean, self.sigma, validate_args=False), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return mean_image


class OptimalSigmaNormal(Independent):
    """Gaussian pixels whose log_prob(x) uses the optimal σ for x; its mean and draws use the run's σ."""

    def __init__(self, mean: Tensor, likelihood: GaussianOptimal) -> None:
        super().__init__(Normal(mean, likelihood.sigma, validate_args=False), 3, validate_args=False)
        self.likelihood = likelihood

    def log_prob(self, value: Tensor) -> Tensor:
        squared_error = (value.float() - self.base_dist.mean).square()
        mse = squared_error.detach().mean()
        self.likelihood.observe(mse)
        sigma = self.likelihood.best_sigma(mse)
        pixels = math.prod(self.event_shape)
        return squared_error.flatten(-3).sum(-1) / (-2 * sigma**2) - pixels * (sigma.log() + 0.5 * math.log(2 * math.pi))
