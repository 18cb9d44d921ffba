"""Distributions over several layers of latents, each layer conditioned on the one drawn before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from vae_lightning.models.distributions.affine import shift_and_scale
from vae_lightning.models.distributions.base import LatentDistribution, kl_or_sample
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import Noise

T = TypeVar("T")


class Step(Protocol):
    """Map the layer just drawn, (..., its size), to the distribution of the next one."""

    def __call__(self, z: Tensor) -> DiagonalNormal: ...

    def detached(self) -> Self:
        """Return the same step with constant parameters: gradients go to z alone."""


class HierarchicalDistribution:
    """log p(z) = log p(z_L) + Σ_l log p(z_l | z_{l+1}), or, if `upward`, log p(z_1) + Σ_l log p(z_{l+1} | z_l), in nats.

    z is one vector: its layers concatenated, z_1 (the lowest, closest to the image) first.

    Args:
        first: the distribution of the layer that is drawn first.
        steps: the others, in the order in which they are drawn.
        sizes: the sizes of the layers, the lowest first.
        upward: whether the lowest layer is drawn first.
    """

    def __init__(self, first: LatentDistribution, steps: Sequence[Step], sizes: Sequence[int], *, upward: bool = False) -> None:
        self.first, self.steps, self.sizes, self.upward = first, list(steps), list(sizes), upward
        self.batch_shape, self.event_shape = first.batch_shape, torch.Size([sum(sizes)])
        # the last z drawn or evaluated, whether gradients were on, and each layer's distribution there
        self._last: tuple[Tensor, bool, list[LatentDistribution]] | None = None

    @property
    def mean(self) -> Tensor:
        """A typical z: each layer at its mean, given the mean of the layer before."""
        return concatenate(*self._lowest_first([layer.mean for layer in self._at_means()]))

    @property
    def top(self) -> LatentDistribution:
        """The distribution of z_L; if it is drawn last, given the means of the layers below."""
        return self._at_means()[-1] if self.upward else self.first

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """z, (*sample_shape, *batch_shape, latent_dim)."""
        shape = tuple(sample_shape)
        given, drawn = [self.first], [self.first.rsample(shape, noise=noise)]
        for step in self.steps:
            layer = step(drawn[-1])
            drawn.append(_draw(layer, shape, noise))
            given.append(layer)
        z = torch.cat(self._lowest_first(drawn), -1)
        self._last = z, torch.is_grad_enabled(), given
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density of z, (..., latent_dim), in nats, (...,)."""
        first, *others = self.log_prob_of_layers(z)
        return sum(others, first)

    def log_prob_of_layers(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return the log density of each layer, the lowest first, (...,) each."""
        return tuple(layer.log_prob(part) for layer, part in zip(self.at(z), z.split(self.sizes, -1), strict=True))

    def at(self, z: Tensor) -> list[LatentDistribution]:
        """Return each layer's distribution given the layer before it in z, the lowest first; those of the last z are cached."""
        if self._last is None or z is not self._last[0] or torch.is_grad_enabled() != self._last[1]:
            parts = self._lowest_first(list(z.split(self.sizes, -1)))  # in the order of drawing (reversing twice is the identity)
            given = [self.first, *(step(part) for step, part in zip(self.steps, parts[:-1], strict=True))]
            self._last = z, torch.is_grad_enabled(), given
        return self._lowest_first(self._last[2])

    def detached(self) -> HierarchicalDistribution:
        """Return the same distribution with constant parameters: gradients of its `log_prob` go to z alone."""
        return HierarchicalDistribution(
            self.first.detached(), [step.detached() for step in self.steps], self.sizes, upward=self.upward
        )

    def _at_means(self) -> list[LatentDistribution]:
        given: list[LatentDistribution] = [self.first]
        for step in self.steps:
            given.append(step(given[-1].mean))
        return given

    def _lowest_first(self, parts: list[T]) -> list[T]:
        """Reorder from the order of drawing to the order in z."""
        return parts if self.upward else parts[::-1]


@shift_and_scale.register(HierarchicalDistribution)
def _(p: HierarchicalDistribution, shift: Tensor, scale: Tensor) -> LatentDistribution:
    """Shift the top layer; those below follow it."""
    return HierarchicalDistribution(shift_and_scale(p.first, shift, scale), p.steps, p.sizes)


def kl_per_layer(
    q: HierarchicalDistribution, p: HierarchicalDistribution, z: Tensor, closed_form: bool = True
) -> tuple[Tensor, ...]:
    """Return each layer's contribution to KL(q ‖ p), estimated at draws z of q.

    It is log q(z_l|·) − log p(z_l|·). If q and p are both drawn downwards, so that both give z_l after z_{l+1}, its mean over
    z_l, KL(q(z_l|·) ‖ p(z_l|·)), is used where torch has a formula: the same expectation with less variance.

    Args:
        q: q(z|x).
        p: p(z).
        z: draws of q, (..., batch, latent_dim).
        closed_form: whether such formulas may be used.

    Returns:
        Nats for each layer, (..., batch), the lowest first.
    """
    if not closed_form or q.upward != p.upward:
        return tuple(a - b for a, b in zip(q.log_prob_of_layers(z), p.log_prob_of_layers(z), strict=True))
    parts = z.split(q.sizes, -1)
    return tuple(kl_or_sample(*given).expand(z.shape[:-1]) for given in zip(q.at(z), p.at(z), parts, strict=True))


def concatenate(*parts: Tensor) -> Tensor:
    """Concatenate along the last dimension, broadcasting the leading ones."""
    batch = torch.broadcast_tensors(*(part[..., 0] for part in parts))[0].shape
    return torch.cat([part.expand(*batch, -1) for part in parts], -1)


def _draw(layer: DiagonalNormal, samples: tuple[int, ...], noise: Noise | None) -> Tensor:
    """Draw z = μ + σ·ε, (*samples, batch, size), where μ already has the shape of the samples."""
    if noise is None:
        return layer.rsample()
    mean, scale = layer.loc, layer.scale
    return mean + scale * noise.normal(mean[(0,) * len(samples)], samples)
