"""Shifted and scaled distributions: z = m + s·z₀ with z₀ ~ p."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import Noise


class AffineDistribution:
    """The distribution of z = m + s·z₀, z₀ ~ p₀, with log p(z) = log p₀((z − m)/s) − Σ_j log s_j.

    Args:
        base: p₀.
        shift: m, (*batch_shape, latent_dim).
        scale: s > 0, (*batch_shape, latent_dim).
    """

    def __init__(self, base: LatentDistribution, shift: Tensor, scale: Tensor) -> None:
        self.base, self.shift, self.scale = base, shift, scale
        self.batch_shape = torch.broadcast_shapes(base.batch_shape, shift.shape[:-1])
        self.event_shape = base.event_shape

    @property
    def mean(self) -> Tensor:
        return self.shift + self.scale * self.base.mean

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """z, (*sample_shape, *batch_shape, latent_dim)."""
        own = self.batch_shape[: len(self.batch_shape) - len(self.base.batch_shape)]  # batch dimensions that the base lacks
        return self.shift + self.scale * self.base.rsample((*sample_shape, *own), noise=noise)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.base.log_prob((z - self.shift) / self.scale) - self.scale.log().sum(-1)

    def detached(self) -> AffineDistribution:
        return AffineDistribution(self.base.detached(), self.shift.detach(), self.scale.detach())


@singledispatch
def shift_and_scale(p: LatentDistribution, shift: Tensor, scale: Tensor) -> LatentDistribution:
    """Return the distribution of m + s·z₀, z₀ ~ p.

    If p's kind is closed under this map, the result is of the same kind, so that formulas for its KL still apply; register such
    kinds with `shift_and_scale.register`.

    Args:
        p: the distribution of z₀.
        shift: m, (*batch_shape, latent_dim).
        scale: s > 0, (*batch_shape, latent_dim).
    """
    return AffineDistribution(p, shift, scale)


@shift_and_scale.register(DiagonalNormal)
def _(p: DiagonalNormal, shift: Tensor, scale: Tensor) -> LatentDistribution:
    return DiagonalNormal(shift + scale * p.loc, scale * p.scale)
