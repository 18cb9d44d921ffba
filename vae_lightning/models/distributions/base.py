"""The interface of a distribution over latents, its base classes, and the KL from torch's formulas.

The diagonal Gaussian, with the reparameterisation trick and its closed-form KL, is in `diagonal_normal.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vae_lightning.models.distributions.cached import cached
from vae_lightning.noise import Noise


class LatentDistribution(Protocol):
    """The interface of q(z|x) and p(z): a `torch.distributions.Distribution` that draws from a given `Noise`.

    If torch knows the KL of a pair of classes (`torch.distributions.kl.register_kl` adds a formula), the formula is used.
    """

    @property
    def batch_shape(self) -> torch.Size:
        """The shape of a batch of distributions, () for a single one."""

    @property
    def event_shape(self) -> torch.Size:
        """(latent_dim,)."""

    @property
    def mean(self) -> Tensor:
        """E[z], (*batch_shape, latent_dim): the code that pictures and probes use; a typical z if E[z] has no formula."""

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """Draw z, (*sample_shape, *batch_shape, latent_dim), with gradients to the parameters if there are any."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density of z in nats, (*sample_shape, *batch_shape)."""

    def detached(self) -> Self:
        """Return the same distribution with constant parameters: gradients of its `log_prob` go to z alone."""


class CachedIndependent(Independent):
    """`torch.distributions.Independent` over the last `dimensions` of `shape`, whose base distribution is built on first use.

    A training step does not need the base, and so saves building three distributions.
    """

    def __init__(self, shape: torch.Size, dimensions: int) -> None:
        self.reinterpreted_batch_ndims = dimensions
        Distribution.__init__(self, shape[:-dimensions], shape[-dimensions:], validate_args=False)

    @cached
    def base_dist(self) -> Distribution:
        return self.make_base()

    def make_base(self) -> Distribution:
        """Return the distribution of single numbers, with batch_shape `shape`."""
        raise NotImplementedError


def exact_kl(q: LatentDistribution, p: LatentDistribution) -> Tensor | None:
    """KL(q ‖ p) by its formula, in nats, (*batch_shape,); None if torch knows no formula for this pair."""
    try:
        return kl_divergence(q, p)  # type: ignore[arg-type]  # looked up by class
    except NotImplementedError:
        return None


def kl_or_sample(q: LatentDistribution, p: LatentDistribution, z: Tensor) -> Tensor:
    """KL(q ‖ p) by its formula, (*batch_shape,); without one, its estimate log q(z) − log p(z) by the draws z ~ q, in nats.

    Args:
        q: q(z|x).
        p: p(z).
        z: draws from q, (..., batch, latent_dim).

    Returns:
        Nats, (*batch_shape,) by the formula, else (..., batch).
    """
    exact = exact_kl(q, p)
    return q.log_prob(z) - p.log_prob(z) if exact is None else exact


def kl_per_dimension(q: object, p: object) -> Tensor | None:
    """KL(q_j ‖ p_j) of each latent dimension in nats, (batch, latent_dim); None if q or p does not factorise."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    try:
        return kl_divergence(q.base_dist, p.base_dist)
    except NotImplementedError:
        return None


def log_prob_per_dimension(q: object, z: Tensor) -> Tensor:
    """Return the log density of each latent dimension in nats, (..., batch, latent_dim), of a q that factorises."""
    assert isinstance(q, Independent)
    return q.base_dist.log_prob(z)


class LatentBase(Distribution):
    """Base class of distributions over vectors of `latent_dim` numbers; see `LatentDistribution`."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, batch_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(torch.Size(batch_shape), torch.Size([latent_dim]), validate_args=False)
