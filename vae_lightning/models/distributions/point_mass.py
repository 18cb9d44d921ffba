"""A point mass: a distribution without a density."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vae_lightning.models.distributions.base import LatentBase
from vae_lightning.noise import Noise


class PointMassDistribution(LatentBase):
    """z = `mean`, (batch, latent_dim), with probability 1. It has no density."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__(mean.shape[:-1], mean.shape[-1])
        self._mean = mean

    @property
    def mean(self) -> Tensor:
        return self._mean

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        return self._mean.expand(*sample_shape, *self._mean.shape)

    def detached(self) -> PointMassDistribution:
        return PointMassDistribution(self._mean.detach())
