"""The yardstick: a VAE whose log p(x) and whose posterior p(z|x) are known.

x = W z + b + σ ε, z ~ N(0, I), so p(x) = N(b, W Wᵀ + σ² I) and p(z|x) = N(Σ Wᵀ(x − b)/σ², Σ), Σ = (I + WᵀW/σ²)⁻¹.
W has orthogonal columns, which makes Σ diagonal, so that a diagonal q can be exact.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_lightning.data.images import Batch, pixels
from vae_lightning.models.hierarchies import Ladder, TwoLayer
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

SHAPE = (1, 2, 3)


class Linear:
    """An architecture of one linear layer each way."""

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(image_shape), features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(nn.Linear(latent_dim, prod(out_shape)), nn.Unflatten(1, out_shape))


class LinearGaussian:
    """`vae`, whose q is the exact posterior, or another one (`exact=False`), and its known values in float64."""

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


class LinearGaussianLayers:
    """Two layers, z2 ~ N(0, I), z1 = A z2 + a + τ ε, x = W z1 + b + σ ε, under any of the hierarchies.

    W has orthogonal columns of one length w, A lies along the axes: so all posteriors are diagonal and each `kind` of q can be
    exact: bottom_up p(z1|x) p(z2|z1), top_down p(z2|x) p(z1|x, z2), or a ladder, whose N(μ̂, σ̂²) is the likelihood of z1.
    p(x) = N(W a + b, W (A Aᵀ + τ² I) Wᵀ + σ² I). Networks between layers are replaced by linear ones.
    """

    def __init__(self, kind: str, exact: bool = True, sigma: float = 0.4, tau: float = 0.6, w: float = 0.8) -> None:
        hierarchy = Ladder([3], [3]) if kind == "ladder" else TwoLayer(3, [3], inference=kind)
        parts: tuple[Any, Any] = hierarchy.layers(Diagonal(2), StandardNormal(2))
        q, p = parts
        self.vae: Any = VAE(Linear(), q, p, Gaussian(SHAPE, sigma))
        self.A, self.a = torch.tensor([[0.9, 0.0], [0.0, 0.5], [0.0, 0.0]]), 0.3 * torch.randn(3)
        self.W, self.b = w * torch.linalg.qr(torch.randn(prod(SHAPE), 3))[0], 0.3 * torch.randn(prod(SHAPE))
        self.sigma, self.tau = sigma, tau
        zeros = torch.zeros(3)
        p.networks[0] = linear((self.A, self.a), (torch.zeros(3, 2), zeros + 2 * math.log(tau)))
        self.vae.decoder[0] = linear((self.W, self.b))  # type: ignore[operator]
        seen = (self.W.T, -self.W.T @ self.b)  # Wᵀ(x − b)
        of_z2 = 1 / (1 + self.A.square().sum(0) / (tau**2 + sigma**2 / w**2))  # variance of z2 given x
        gain = of_z2[:, None] * self.A.T / (w**2 * tau**2 + sigma**2)
        z2 = ((gain @ self.W.T, gain @ (seen[1] - w**2 * self.a)), (torch.zeros(2, prod(SHAPE)), of_z2.log()))
        if kind == "ladder":
            of_z1 = ((seen[0] / w**2, seen[1] / w**2), (torch.zeros(3, prod(SHAPE)), zeros + 2 * math.log(sigma / w)))
            encoder = linear(*of_z1, seen)
            q.up[0] = linear((gain, -(w**2) * gain @ self.a), (torch.zeros(2, 3), of_z2.log()))
        elif kind == "top_down":
            encoder = linear(*z2, seen)
            precision = 1 / tau**2 + w**2 / sigma**2  # precision of z1 given x and z2
            rows = torch.cat([torch.eye(3) / sigma**2, self.A / tau**2], 1) / precision
            q.activation = nn.Identity()
            q.network = linear((rows, self.a / tau**2 / precision), (torch.zeros(3, 5), zeros - math.log(precision)))
        else:
            before = 1 / (self.A.square().sum(1) + tau**2)  # precision of z1
            variance = 1 / (before + w**2 / sigma**2)
            mean = (variance[:, None] * seen[0] / sigma**2, variance * (seen[1] / sigma**2 + before * self.a))
            encoder = linear(mean, (torch.zeros(3, prod(SHAPE)), variance.log()))
            of_z2 = 1 / (1 + self.A.square().sum(0) / tau**2)
            gain = of_z2[:, None] * self.A.T / tau**2
            q.network = linear((gain, -gain @ self.a), (torch.zeros(2, 3), of_z2.log()))
        self.vae.encoder[1] = encoder  # type: ignore[operator]
        if not exact:
            with torch.no_grad():
                encoder.weight.mul_(0.8)
                encoder.bias.add_(0.15)

    def log_p(self, x: Tensor) -> Tensor:
        """The exact log p(x) of each image."""
        W, A = self.W.double(), self.A.double()
        of_z1 = A @ A.T + self.tau**2 * torch.eye(3, dtype=torch.float64)
        covariance = W @ of_z1 @ W.T + self.sigma**2 * torch.eye(len(W), dtype=torch.float64)
        return MultivariateNormal(W @ self.a.double() + self.b, covariance).log_prob(x.double().flatten(1))


def linear(*blocks: tuple[Tensor, Tensor]) -> nn.Linear:
    """A layer whose rows are those of the (weight, bias) blocks, one below the other."""
    weight, bias = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    layer = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def random_batch(size: int, shape: tuple[int, int, int] = SHAPE) -> Batch:
    images = torch.randint(0, 256, (size, *shape), dtype=torch.uint8)
    return Batch(images, torch.zeros(size, dtype=torch.long), torch.arange(size))


def random_images(size: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return pixels(random_batch(size, shape).images)
