"""Mixtures whose components are distributions of any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentBase, LatentDistribution, log_prob_per_component
from vae_lightning.models.distributions.cached import cached
from vae_lightning.noise import GlobalNoise, Noise

Pick = Callable[[Any], LatentDistribution]


class Mixture(LatentBase):
    """p(z) = Σ_k w_k p_k(z), batch_shape ().

    log_weights: log w_k, (K,), summing to 1 as weights; pick: index → the distribution of those components, with as many in its
    batch as were picked (all of them by `slice(None)`). Components are made when first asked for, and only those asked for.
    """

    def __init__(self, log_weights: Tensor, pick: Pick, latent_dim: int) -> None:
        super().__init__((), latent_dim)
        self.log_weights, self.pick = log_weights, pick

    @cached
    def components(self) -> LatentDistribution:
        """All K of them, batch_shape (K,)."""
        return self.pick(slice(None))

    @property
    def mean(self) -> Tensor:
        return (self.log_weights.exp().unsqueeze(-1) * self.components.mean).sum(0)

    def rsample(self, sample_shape: Any = (), noise: Noise | None = None) -> Tensor:
        """z, (*sample_shape, latent_dim): which component, by inverting the cumulated weights; then a draw of that one.

        Gradients go to the components, none to the weights.
        """
        noise = noise or GlobalNoise()
        u = noise.uniform(self.log_weights.detach()[:1], tuple(sample_shape)).flatten()
        cumulated = self.log_weights.detach().exp().cumsum(0)
        index = torch.searchsorted(cumulated, u * cumulated[-1], right=True).clamp_max(len(cumulated) - 1)
        return self.pick(index).rsample((), _OfPicked(noise, tuple(sample_shape))).view(*sample_shape, *self.event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log Σ_k exp(log w_k + log p_k(z)), (*z.shape[:-1])."""
        return torch.logsumexp(self.log_weights + log_prob_per_component(self.components, z), -1)

    def detached(self) -> Mixture:
        pick = self.pick
        return Mixture(self.log_weights.detach(), lambda index: pick(index).detached(), self.event_shape[0])


class _OfPicked:
    """`noise` as a distribution without a batch asks for it, in draws of `shape`, given to their components side by side."""

    def __init__(self, noise: Noise, shape: tuple[int, ...]) -> None:
        self.noise, self.shape = noise, shape

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.normal(like[0], (*samples, *self.shape)).reshape(*samples, *like.shape)

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.uniform(like[0], (*samples, *self.shape)).reshape(*samples, *like.shape)
