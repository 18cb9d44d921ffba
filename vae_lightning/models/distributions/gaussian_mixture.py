"""Mixtures of distributions of any kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentBase, LatentDistribution
from vae_lightning.models.distributions.cached import cached
from vae_lightning.models.distributions.diagonal_normal import log_prob_per_component
from vae_lightning.noise import GlobalNoise, Noise

Select = Callable[[slice | Tensor], LatentDistribution]


class Mixture(LatentBase):
    """p(z) = Σ_k w_k p_k(z), batch_shape ().

    Components are built on first use, and only those that are needed.

    Args:
        log_weights: log w_k, (K,); the weights sum to 1.
        select: index → the distribution of those components, with as many in its batch (`slice(None)` selects all).
        latent_dim: the number of latent dimensions.
    """

    def __init__(self, log_weights: Tensor, select: Select, latent_dim: int) -> None:
        super().__init__((), latent_dim)
        self.log_weights, self.select = log_weights, select

    @cached
    def components(self) -> LatentDistribution:
        """All K components, batch_shape (K,)."""
        return self.select(slice(None))

    @property
    def mean(self) -> Tensor:
        return (self.log_weights.exp().unsqueeze(-1) * self.components.mean).sum(0)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """Draw z, (*sample_shape, latent_dim): choose a component by inverting the cumulative weights, then draw from it.

        Gradients go to the components, not to the weights.
        """
        noise = noise or GlobalNoise()
        u = noise.uniform(self.log_weights.detach()[:1], tuple(sample_shape)).flatten()
        cumulated = self.log_weights.detach().exp().cumsum(0)
        index = torch.searchsorted(cumulated, u * cumulated[-1], right=True).clamp_max(len(cumulated) - 1)
        return self.select(index).rsample((), _ComponentNoise(noise, tuple(sample_shape))).view(*sample_shape, *self.event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density log Σ_k exp(log w_k + log p_k(z)), (*z.shape[:-1])."""
        return torch.logsumexp(self.log_weights + log_prob_per_component(self.components, z), -1)

    def detached(self) -> Mixture:
        select = self.select
        return Mixture(self.log_weights.detach(), lambda index: select(index).detached(), self.event_shape[0])


class _ComponentNoise:
    """The noise of a distribution without a batch, reshaped for the components that its draws of `shape` selected."""

    def __init__(self, noise: Noise, shape: tuple[int, ...]) -> None:
        self.noise, self.shape = noise, shape

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.normal(like[0], (*samples, *self.shape)).reshape(*samples, *like.shape)

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.uniform(like[0], (*samples, *self.shape)).reshape(*samples, *like.shape)
