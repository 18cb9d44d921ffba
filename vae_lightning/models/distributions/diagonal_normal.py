"""The diagonal Gaussian: the reparameterisation trick (`DiagonalNormal.rsample`) and the closed-form KL to N(0, I)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions.kl import register_kl

from vae_lightning.models.distributions.base import CachedIndependent, LatentDistribution
from vae_lightning.noise import Noise


class DiagonalNormal(CachedIndependent):
    """N(μ, diag σ²) over the last dimension; `mean` and `scale` have shape (batch, latent_dim).

    `rsample` is the reparameterisation trick z = μ + σ·ε, ε ~ N(0, I) (Kingma and Welling 2014, eq. 10). The randomness is
    outside the network, so gradients reach μ and σ. ε comes from `noise`, or from torch's global generator.
    """

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        if mean.shape != scale.shape:
            mean, scale = torch.broadcast_tensors(mean, scale)
        self.loc, self.scale = mean, scale
        super().__init__(self.loc.shape, 1)

    def make_base(self) -> Normal:
        return Normal(self.loc, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> DiagonalNormal:
        shape = torch.Size([*batch_shape, *self.event_shape])
        return DiagonalNormal(self.mean.expand(shape), self.stddev.expand(shape))

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """Draw z = μ + σ·ε, the reparameterisation trick: (*sample_shape, batch, latent_dim)."""
        if noise is None:  # the same formula, with ε from torch's global generator
            return super().rsample(torch.Size(sample_shape))
        return self.mean + self.scale * noise.normal(self.mean, tuple(sample_shape))

    def detached(self) -> DiagonalNormal:
        return DiagonalNormal(self.mean.detach(), self.stddev.detach())

    def log_prob_of_components(self, z: Tensor) -> Tensor:
        """Return the log density of z under each of the K Gaussians of a batch of shape (K,).

        It is −½ Σ_j (λ_kj (z_j − μ_kj)² − log λ_kj + log 2π) with λ = 1/σ². The square is expanded, so that matrix products
        replace K·latent_dim differences for each z; float64 makes up for the cancellation.

        Returns:
            Nats, (*z.shape[:-1], K), with the dtype of z.
        """
        centre = self.mean.detach().mean(0).double()
        z_, mean, precision = z.double() - centre, self.mean.double() - centre, self.stddev.double() ** -2
        squares = z_.square() @ precision.T - 2 * z_ @ (precision * mean).T + (precision * mean.square()).sum(-1)
        normaliser = (math.log(2 * math.pi) - precision.log()).sum(-1)
        return (-0.5 * (squares + normaliser)).to(z.dtype)


class UnitNormal(DiagonalNormal):
    """N(0, I) over the last dimension."""


@register_kl(DiagonalNormal, UnitNormal)
def _kl_to_unit(q: DiagonalNormal, p: UnitNormal) -> Tensor:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = Σ_j ½ (σ_j² + μ_j² − 1) − log σ_j (Kingma and Welling 2014, app. B), nats, (batch,)."""
    return (0.5 * (q.scale.square() + q.loc.square() - 1) - q.scale.log()).sum(-1)


def log_prob_per_component(q: LatentDistribution, z: Tensor) -> Tensor:
    """Return the log density of z under each of the K distributions in q's batch, in nats, (*z.shape[:-1], K)."""
    return q.log_prob_of_components(z) if isinstance(q, DiagonalNormal) else q.log_prob(z.unsqueeze(-2))
