"""The yardstick: a VAE whose log p(x) and whose posterior p(z|x) are known.

x = W z + b + σ ε, z ~ N(0, I), so p(x) = N(b, W Wᵀ + σ² I) and p(z|x) = N(Σ Wᵀ(x − b)/σ², Σ), Σ = (I + WᵀW/σ²)⁻¹.
W has orthogonal columns, which makes Σ diagonal, so that a diagonal q can be exact.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_lightning.data.base import Batch
from vae_lightning.evaluation.elbo import pixels
from vae_lightning.likelihoods import Gaussian
from vae_lightning.posteriors import Diagonal
from vae_lightning.priors import StandardNormal
from vae_lightning.vae import VAE

SHAPE = (1, 2, 3)


class Linear:
    """An architecture of one linear layer each way."""

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(image_shape), features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(nn.Linear(latent_dim, prod(out_shape)), nn.Unflatten(1, out_shape))


class LinearGaussian:
    """`vae`, whose q is the exact posterior, or one beside it (`exact=False`), and what is known of it in float64."""

    def __init__(self, exact: bool = True, sigma: float = 0.4) -> None:
        self.vae = VAE(Linear(), Diagonal(2), StandardNormal(2), Gaussian(SHAPE, sigma))
        decoder, encoder = self.vae.decoder[0], self.vae.encoder[1]  # type: ignore[index]
        columns = torch.linalg.qr(torch.randn(prod(SHAPE), 2))[0]
        with torch.no_grad():
            decoder.weight.copy_(columns * torch.tensor([0.8, 0.3]))
            variance = 1 / (1 + decoder.weight.square().sum(0) / sigma**2)
            gain = variance[:, None] * decoder.weight.T / sigma**2
            encoder.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
            encoder.bias.copy_(torch.cat([-gain @ decoder.bias, variance.log()]))
        self.weight, self.bias, self.sigma = decoder.weight.detach().double(), decoder.bias.detach().double(), sigma
        self.gain, self.variance = gain.double(), variance.double()
        if not exact:
            with torch.no_grad():
                encoder.weight.mul_(0.8)
                encoder.bias[:2] += 0.2
                encoder.bias[2:] += torch.tensor([0.3, -0.4])

    def log_p(self, x: Tensor) -> Tensor:
        """The exact log p(x) of each image."""
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(len(self.weight), dtype=torch.float64)
        return MultivariateNormal(self.bias, covariance).log_prob(x.double().flatten(1))

    def posterior(self, x: Tensor) -> Independent:
        """The exact p(z|x)."""
        mean = (x.double().flatten(1) - self.bias) @ self.gain.T
        return Independent(Normal(mean, self.variance.sqrt().expand_as(mean)), 1)


def random_batch(size: int, shape: tuple[int, int, int] = SHAPE) -> Batch:
    images = torch.randint(0, 256, (size, *shape), dtype=torch.uint8)
    return Batch(images, torch.zeros(size, dtype=torch.long), torch.arange(size))


def random_images(size: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return pixels(random_batch(size, shape).images)
