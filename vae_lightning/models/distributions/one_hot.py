"""Categorical codes as one-hot vectors, and their Gumbel-softmax relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import register_kl

from vae_lightning.models.distributions.base import LatentBase
from vae_lightning.noise import GlobalNoise, Noise


class OneHots(LatentBase):
    """V independent categorical variables of K classes; z is their one-hot vectors concatenated, V·K numbers.

    Args:
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
        """Return the log probability Σ z·log π of the classes; for a relaxed z, the same function between the corners."""
        return (z * self.log_probs.flatten(-2)).sum(-1)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """One-hot vectors argmax_k(log π_k + g_k), g ~ Gumbel(0, 1) (the Gumbel-max trick); no gradients."""
        return self._hard(self._gumbels(sample_shape, noise)).flatten(-2)

    def detached(self) -> OneHots:
        return OneHots(self.log_probs.detach())

    def _gumbels(self, sample_shape: Sequence[int], noise: Noise | None) -> Tensor:
        """Perturbed log probabilities log π + g, g ~ Gumbel(0, 1), (*sample_shape, *batch_shape, V, K)."""
        u = (noise or GlobalNoise()).uniform(self.log_probs.detach(), tuple(sample_shape))
        return self.log_probs - (-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()

    @staticmethod
    def _hard(scores: Tensor) -> Tensor:
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)


class RelaxedOneHots(OneHots):
    """z = softmax((log π + g)/τ), g ~ Gumbel(0, 1): a differentiable substitute for a one-hot draw (Jang et al. 2017, eq. 2).

    As the temperature τ falls, z tends to a draw of `OneHots`. Probabilities and KL are those of the categorical variables, as in
    the paper, not of the relaxed ones.

    Args:
        log_probs: log π, (*batch_shape, V, K), normalised over the last dimension.
        temperature: τ.
        hard: use the one-hot vector in the forward pass and the softmax's gradient in the backward pass (straight-through).
    """

    def __init__(self, log_probs: Tensor, temperature: Tensor, hard: bool) -> None:
        super().__init__(log_probs)
        self.temperature, self.hard = temperature, hard

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
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
    """Return the name of the space of these codes, which posterior and prior must share."""
    return f"{variables} categorical of {classes} classes"
