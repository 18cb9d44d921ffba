"""Codes of categorical variables, and their relaxation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import register_kl

from vae_lightning.models.distributions.base import LatentBase
from vae_lightning.noise import GlobalNoise, Noise


class OneHots(LatentBase):
    """V independent categorical variables of K classes; z is their one-hot vectors, one after the other: V·K numbers.

    log_probs: log π, (*batch_shape, V, K), normalised over the last dimension.
    """

    def __init__(self, log_probs: Tensor) -> None:
        super().__init__(log_probs.shape[:-2], log_probs.shape[-2] * log_probs.shape[-1])
        self.log_probs = log_probs

    @property
    def mean(self) -> Tensor:
        """E[z] = π."""
        return self.log_probs.exp().flatten(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """log of the mass Π_v π_v(z_v), as Σ z·log π; of a relaxed z, that same function between the corners."""
        return (z * self.log_probs.flatten(-2)).sum(-1)

    def rsample(self, sample_shape: Any = (), noise: Noise | None = None) -> Tensor:
        """One-hot vectors argmax_k(log π_k + g_k), g ~ Gumbel(0, 1) (the Gumbel-max trick); no gradients."""
        return self._hard(self._gumbels(sample_shape, noise)).flatten(-2)

    def detached(self) -> OneHots:
        return OneHots(self.log_probs.detach())

    def _gumbels(self, sample_shape: Any, noise: Noise | None) -> Tensor:
        """log π + g, (*sample_shape, *batch_shape, V, K)."""
        u = (noise or GlobalNoise()).uniform(self.log_probs.detach(), tuple(sample_shape))
        return self.log_probs - (-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()

    @staticmethod
    def _hard(scores: Tensor) -> Tensor:
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)


class RelaxedOneHots(OneHots):
    """z = softmax((log π + g)/τ), g ~ Gumbel(0, 1), a differentiable stand-in for a one-hot draw (Jang et al. 2017, eq. 2).

    With `hard` the one-hot vector goes forward and the softmax's gradient back (straight-through). As the temperature τ falls,
    z tends to a draw of `OneHots`. Masses and KL are those of the categoricals, as in the paper, not of the relaxed variable.
    """

    def __init__(self, log_probs: Tensor, temperature: Tensor, hard: bool) -> None:
        super().__init__(log_probs)
        self.temperature, self.hard = temperature, hard

    def rsample(self, sample_shape: Any = (), noise: Noise | None = None) -> Tensor:
        scores = self._gumbels(sample_shape, noise)
        z = (scores / self.temperature).softmax(-1)
        if self.hard:
            z = self._hard(scores.detach()) + (z - z.detach())
        return z.flatten(-2)

    def detached(self) -> RelaxedOneHots:
        return RelaxedOneHots(self.log_probs.detach(), self.temperature, self.hard)


@register_kl(OneHots, OneHots)
def _kl_categoricals(q: OneHots, p: OneHots) -> Tensor:
    """Σ_v Σ_k π_vk (log π_vk − log p_vk), (batch,)."""
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).sum((-2, -1))


def space(variables: int, classes: int) -> str:
    """What posterior and prior call the space of these codes."""
    return f"{variables} categorical of {classes} classes"
