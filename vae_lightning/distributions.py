"""What `torch.distributions` lacks: drawing from a given `Noise`, and the KL divergence of one latent dimension at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from vae_lightning.noise import Noise


class DiagonalNormal(Independent):
    """N(μ, diag σ²) over the last dimension; `mean` and `scale` have shape (batch, latent_dim).

    `rsample` is the reparameterisation trick z = μ + σ·ε, ε ~ N(0, I) (Kingma and Welling 2014, eq. 10): the randomness stands
    outside of the network, so that gradients reach μ and σ. ε comes from `noise`, or from torch's global generator without it.
    """

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiagonalNormal:
        shape = torch.Size([*batch_shape, *self.event_shape])
        return DiagonalNormal(self.mean.expand(shape), self.stddev.expand(shape))

    def rsample(self, sample_shape: Any = (), noise: Noise | None = None) -> Tensor:
        """z, shape (*sample_shape, batch, latent_dim)."""
        if noise is None:
            return super().rsample(torch.Size(sample_shape))
        mean, scale = self.base_dist.loc, self.base_dist.scale
        return mean + scale * noise.normal(mean, tuple(sample_shape))


def kl_per_dimension(q: torch.distributions.Distribution, p: torch.distributions.Distribution) -> Tensor | None:
    """KL(q_j ‖ p_j) of each latent dimension, shape (batch, latent_dim), in nats; None where q or p does not factorise."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    try:
        return kl_divergence(q.base_dist, p.base_dist)
    except NotImplementedError:
        return None
