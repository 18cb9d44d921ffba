"""Distributions on the unit sphere S^(m−1) in m latent dimensions: uniform and von Mises–Fisher.

The Bessel functions of the von Mises–Fisher distribution are ratios of ∫ exp(κ cos θ) sin^(m−2) θ dθ over θ in [0, π]
(Abramowitz and Stegun 9.6.18). Gauss–Legendre quadrature gives them to ten digits for any κ, on any device, with gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import register_kl
from torch.nn.functional import normalize

from vae_lightning.models.distributions.base import LatentBase
from vae_lightning.models.distributions.cached import cached
from vae_lightning.noise import GlobalNoise, Noise

NODES = 96  # quadrature nodes
ROUNDS = 24  # proposals of the rejection sampler


def log_area(m: int) -> float:
    """Return the log of the sphere's area, log |S^(m−1)| = log(2 π^(m/2) / Γ(m/2))."""
    return math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


class HypersphericalUniform(LatentBase):
    """p(z) = 1/|S^(m−1)| on ‖z‖ = 1.

    Args:
        like: a tensor (m,) with the device and dtype of z.
    """

    def __init__(self, like: Tensor) -> None:
        super().__init__((), len(like))
        self.like = like

    @property
    def mean(self) -> Tensor:
        """E[z] = 0, which is not on the sphere."""
        return torch.zeros_like(self.like)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        return normalize((noise or GlobalNoise()).normal(self.like, tuple(sample_shape)), dim=-1)

    def log_prob(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-1], -log_area(self.event_shape[0]))

    def detached(self) -> HypersphericalUniform:
        return self


class VonMisesFisher(LatentBase):
    """q(z) = C_m(κ) exp(κ μᵀz) on ‖z‖ = 1 (Davidson et al. 2018).

    A draw is z = ω·μ + √(1 − ω²)·v, with v uniform among the directions orthogonal to μ. ω = μᵀz is drawn by rejection (Wood
    1994), `ROUNDS` proposals at once; all of them fail with probability at most 2e-11, and then the last is taken. Its gradient
    holds the distribution function constant, ∂ω/∂κ = −(∂F/∂κ)/(∂F/∂ω) (Figurnov et al. 2018). This is exact however ω was
    found, so no correction for rejected proposals is needed, unlike in Davidson et al. As μ turns, v turns with it by the
    shortest rotation (they reflect a v drawn about e_1), so that ‖∂(aᵀz)/∂μ‖ ≤ ‖a‖ along the sphere.

    Args:
        loc: μ, (batch, m), of length 1.
        concentration: κ > 0, (batch,).
    """

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1])
        self.loc, self.concentration = loc, concentration

    @property
    def mean(self) -> Tensor:
        """The mean direction μ, a point on the sphere; E[z] = A_m(κ)·μ is not."""
        return self.loc

    @cached
    def _normaliser(self) -> tuple[Tensor, Tensor]:
        return normaliser(self.concentration, self.event_shape[0])

    @property
    def cosine(self) -> Tensor:
        """A_m(κ) = E[μᵀz] = I_{m/2}(κ)/I_{m/2−1}(κ), (batch,)."""
        return self._normaliser[1].to(self.loc.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density log C_m(κ) + κ μᵀz, in nats."""
        cosine = (z * self.loc).sum(-1)
        # κ·(μᵀz − 1) rather than κ·μᵀz, to avoid cancellation
        return self.concentration * (cosine - 1) - self._normaliser[0].to(z.dtype)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        noise = noise or GlobalNoise()
        shape, m = tuple(sample_shape), self.event_shape[0]
        cosine = sample_cosine(self.concentration.detach(), m, shape, noise)
        cosine = _Reparameterised.apply(cosine, self.concentration, m).unsqueeze(-1)
        across = rotate_with_mean(self.loc, orthogonal_to_mean(noise.normal(self.loc.detach(), shape), self.loc.detach()))
        return cosine * self.loc + (1 - cosine.square()).clamp_min(1e-12).sqrt() * across

    def detached(self) -> VonMisesFisher:
        return VonMisesFisher(self.loc.detach(), self.concentration.detach())


@register_kl(VonMisesFisher, HypersphericalUniform)
def _kl_von_mises_fisher_uniform(q: VonMisesFisher, p: HypersphericalUniform) -> Tensor:
    """κ·A_m(κ) + log C_m(κ) + log |S^(m−1)| (Davidson et al. 2018), (batch,)."""
    log_integral, cosine = q._normaliser
    return (q.concentration.double() * (cosine - 1) - log_integral + log_area(q.event_shape[0])).to(q.loc.dtype)


def orthogonal_to_mean(direction: Tensor, loc: Tensor) -> Tensor:
    """Return the unit vector along the component of `direction` orthogonal to μ.

    Projected twice: if `direction` is almost parallel to μ, rounding leaves a remainder after the first time.
    """
    for _ in range(2):
        direction = normalize(direction - (direction * loc).sum(-1, keepdim=True) * loc, dim=-1)
    return direction


def rotate_with_mean(loc: Tensor, across: Tensor) -> Tensor:
    """`across`, a constant v orthogonal to μ, with the gradient ∂v/∂μ = −μ vᵀ of the rotation that moves μ."""
    return across - (across * loc).sum(-1, keepdim=True) * loc.detach()


def quadrature_nodes(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Quadrature nodes θ and weights over [low, high], (*low.shape, nodes), float64."""
    nodes, weights = _legendre(low.device)
    half = ((high - low) / 2).unsqueeze(-1)
    return low.unsqueeze(-1) + half * (1 + nodes), half * weights


def normaliser(concentration: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Return log ∫ exp(κ(μᵀz − 1)) dz over the sphere, so that log C_m(κ) = −(that) − κ, and A_m(κ); both float64."""
    kappa = concentration.double()
    with torch.no_grad():  # the bulk of the integrand: its mode, where κ sin²θ = (m − 2) cos θ, ± 12 times its width
        ratio = (m - 2) / (2 * kappa)
        mode = (1 / (ratio + (1 + ratio.square()).sqrt())).clamp(-1, 1).acos()
        reach = 12 / (kappa + m - 2).clamp_min(1e-3).sqrt()
        theta, weight = quadrature_nodes((mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi))
        log_weight = weight.log() + (m - 2) * theta.sin().clamp_min(1e-300).log()
    exponent = kappa.unsqueeze(-1) * (theta.cos() - 1) + log_weight
    cosine = (exponent.softmax(-1) * theta.cos()).sum(-1)
    return torch.logsumexp(exponent, -1) + log_area(m - 1), cosine


def sample_cosine(kappa: Tensor, m: int, samples: tuple[int, ...], noise: Noise) -> Tensor:
    """Draw ω = μᵀz, (*samples, *kappa.shape): the first accepted proposal (Wood 1994; Davidson et al. 2018, algorithm 1).

    Args:
        kappa: κ, (batch,).
        m: number of latent dimensions.
        samples: leading dimensions of the draws.
        noise: where random numbers come from.
    """
    root = (4 * kappa.square() + (m - 1) ** 2).sqrt()
    b = (m - 1) / (2 * kappa + root)
    a = (m - 1 + 2 * kappa + root) / 4
    d = 4 * a * b / (1 + b) - (m - 1) * math.log(m - 1)
    u = noise.uniform(kappa.unsqueeze(-1).unsqueeze(-1).expand(*kappa.shape, 3, ROUNDS), samples)
    radius, angle, accept = u.unbind(-2)
    a, b, d = a.unsqueeze(-1), b.unsqueeze(-1), d.unsqueeze(-1)
    # ε ~ Beta((m − 1)/2, (m − 1)/2) from two uniforms (Ulrich 1984)
    spread = (1 - radius.pow(2 / max(m - 2, 1e-9))).sqrt()
    epsilon = 0.5 * (1 + spread * (2 * math.pi * angle).cos())
    t = 2 * a * b / (1 - (1 - b) * epsilon)
    good = (m - 1) * t.log() - t + d >= accept.clamp_min(1e-38).log()
    good[..., -1] = True
    first = good.int().argmax(-1, keepdim=True)
    omega = (1 - (1 + b) * epsilon) / (1 - (1 - b) * epsilon)
    return omega.gather(-1, first).squeeze(-1).clamp(-1 + 1e-7, 1 - 1e-7)


class _Reparameterised(torch.autograd.Function):
    """The identity on ω, with the gradient ∂ω/∂κ that holds its distribution function constant."""

    @staticmethod
    def forward(ctx: Any, omega: Tensor, concentration: Tensor, m: int) -> Tensor:
        ctx.save_for_backward(omega, concentration)
        ctx.m = m
        return omega.view_as(omega)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        omega, concentration = ctx.saved_tensors
        slope = cosine_slope(omega, concentration, ctx.m).to(gradients[0].dtype)
        return None, (gradients[0] * slope).sum_to_size(concentration.shape), None


def cosine_slope(omega: Tensor, concentration: Tensor, m: int) -> Tensor:
    """∂ω/∂κ = ∫_ω^1 (t − A) f(t) dt / f(ω) = ∫_{−1}^ω (A − t) f(t) dt / f(ω), f(t) = exp(κt)·(1 − t²)^((m−3)/2), float64.

    Integrates over the side on which nothing cancels: the first form for ω > A, else the second.

    Args:
        omega: ω, in [−1, 1].
        concentration: κ, broadcast to ω.
        m: number of latent dimensions.

    Returns:
        ∂ω/∂κ with the shape of ω.
    """
    omega, kappa = omega.double(), concentration.double().expand(omega.shape)
    mean = normaliser(concentration, m)[1]
    above, end = omega > mean, omega.acos()
    reach = 12 / (kappa + m - 2).clamp_min(1e-3).sqrt()
    low = torch.where(above, (end - reach).clamp_min(0), end)
    high = torch.where(above, end, (end + reach).clamp_max(math.pi))
    theta, weight = quadrature_nodes(low, high)
    tilt = kappa.unsqueeze(-1) * (theta.cos() - omega.unsqueeze(-1))
    relative = tilt + (m - 2) * (theta.sin().clamp_min(1e-300).log() - end.sin().clamp_min(1e-300).log().unsqueeze(-1))
    integral = (weight * (theta.cos() - mean.unsqueeze(-1)).abs() * relative.exp()).sum(-1)
    return end.sin() * integral


_LEGENDRE: dict[torch.device, tuple[Tensor, Tensor]] = {}  # a dict, which torch's compiler can trace, unlike a cached function


def _legendre(device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [−1, 1], copied to each device once."""
    if device not in _LEGENDRE:
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        _LEGENDRE[device] = torch.from_numpy(nodes).to(device), torch.from_numpy(weights).to(device)
    return _LEGENDRE[device]
