"""Normalizing flows: a transformed Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae_lightning.errors import InvalidValue, check_int, check_ints
from vae_lightning.models.distributions.base import LatentBase
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import Noise

LARGEST_FLOW = 4096  # the most inputs or units of a masked network: above this, its masks take minutes to make
MOST_WEIGHTS = 10**7  # of all masked networks of a flow together: each takes about 60 bytes, with its masks


def check_flow_sizes(latent_dim: int, hidden: Sequence[int], steps: int) -> tuple[int, ...]:
    """Return the widths of a flow's masked networks, of which there is one for each of the `steps`.

    Raises:
        InvalidValue: `latent_dim` or one of the widths is above 4096, or the networks have too many weights together.
    """
    check_int("latent_dim", latent_dim, 1, LARGEST_FLOW)
    widths = check_ints("hidden", hidden)
    if max(widths) > LARGEST_FLOW:
        raise InvalidValue("hidden", list(widths), f"a list of integers of at least 1 and at most {LARGEST_FLOW}")
    weights = steps * sum(a * b for a, b in pairwise((latent_dim, *widths, 2 * latent_dim)))
    if weights > MOST_WEIGHTS:
        few = f"widths that make at most {MOST_WEIGHTS:,} weights with latent_dim={latent_dim} and steps={steps}"
        raise InvalidValue("hidden", list(widths), few)
    return widths


class Bijection(nn.Module):
    """An invertible map u ↔ z for each context.

    `forward(u, context)` returns z and log|det ∂z/∂u|; with `inverse=True`, if there is an inverse, it maps z to u and
    log|det ∂u/∂z|.
    """

    def forward(self, value: Tensor, context: Tensor | None = None, inverse: bool = False) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class FlowDistribution(LatentBase):
    """z = f(u; context), u ~ `base`: log p(z) = log base(u) − log|det ∂z/∂u| (Rezende and Mohamed 2015, eq. 5).

    Drawing z computes its density, which `log_prob` returns without an inverse if it is given that very tensor. Always in
    float32.

    Args:
        base: the distribution of u.
        bijection: f.
        context: (*batch_shape, numbers), or None.
        constant: whether f's weights are constants.
    """

    def __init__(self, base: DiagonalNormal, bijection: Bijection, context: Tensor | None = None, constant: bool = False) -> None:
        super().__init__(base.batch_shape, base.event_shape[0])
        self.base, self.bijection, self.context, self.constant = base, bijection, context, constant
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def mean(self) -> Tensor:
        """The image f(E[u]) of the base's mean: a typical z, since E[z] has no formula."""
        return self._map(self.base.mean)[0]

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        u = self.base.rsample(sample_shape, noise)
        z, log_det = self._map(u)
        self._last = z, self.base.log_prob(u) - log_det
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        if self._last is not None and z is self._last[0]:
            return self._last[1]
        u, log_det = self._map(z, inverse=True)
        return self.base.log_prob(u) + log_det

    def detached(self) -> FlowDistribution:
        context = None if self.context is None else self.context.detach()
        return FlowDistribution(self.base.detached(), self.bijection, context, constant=True)

    def _map(self, value: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        with torch.autocast(value.device.type, enabled=False):
            if not self.constant:
                return self.bijection(value, self.context, inverse)
            parameters = {name: weight.detach() for name, weight in self.bijection.named_parameters()}
            return functional_call(self.bijection, parameters, (value, self.context, inverse))


class ZukoBijection(Bijection):
    """A lazy transformation of the library zuko, whose forward direction is the cheap one in autoregressive flows.

    Args:
        transform: zuko's transformation.
        generates: whether its forward direction maps u to z (cheap draws) or z to u (cheap densities).
    """

    def __init__(self, transform: Any, generates: bool) -> None:
        super().__init__()
        self.transform, self.generates = transform, generates

    def forward(self, value: Tensor, context: Tensor | None = None, inverse: bool = False) -> tuple[Tensor, Tensor]:
        transform = self.transform(context)
        if self.generates is not inverse:
            return transform.call_and_ladj(value)
        origin = transform.inv(value)
        return origin, -transform.call_and_ladj(origin)[1]


class PlanarBijection(Bijection):
    """Steps z ← z + û·tanh(wᵀz + b) with u, w, b from the context (Rezende and Mohamed 2015, eq. 10 to 12); no inverse.

    û = u + (softplus(wᵀu) − 1 − wᵀu)·w/‖w‖² keeps wᵀû above −1, so that each step is invertible (their appendix A.1).

    Args:
        latent_dim: numbers in z.
        steps: number of steps; the context is (batch, steps·(2·latent_dim + 1)).
    """

    def __init__(self, latent_dim: int, steps: int) -> None:
        super().__init__()
        self.latent_dim, self.steps = latent_dim, steps

    def forward(self, value: Tensor, context: Tensor | None = None, inverse: bool = False) -> tuple[Tensor, Tensor]:
        if inverse or context is None:
            raise NotImplementedError("A planar flow has no inverse in closed form.")
        z, log_det = value, value.new_zeros(())
        for step in context.unflatten(-1, (self.steps, -1)).unbind(-2):
            u, w, b = step.split([self.latent_dim, self.latent_dim, 1], -1)
            wu = (w * u).sum(-1, keepdim=True)
            u = u + (nn.functional.softplus(wu) - 1 - wu) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-8)
            h = ((w * z).sum(-1, keepdim=True) + b).tanh()
            # |det ∂z'/∂z| = 1 + ûᵀψ(z), ψ(z) = (1 − h²)·w
            log_det = log_det + torch.log1p(((1 - h.square()) * (w * u).sum(-1, keepdim=True)).squeeze(-1))
            z = z + u * h
        return z, log_det
