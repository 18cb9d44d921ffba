"""The same distribution at each site of a grid of codes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vae_lightning.models.distributions.base import LatentBase, LatentDistribution
from vae_lightning.noise import Noise


class Sites(LatentBase):
    """p(z) = Π_s p(z_s) over S sites s, batch_shape (); z is flattened from (C, S), the C numbers of z_s from `base`.

    Args:
        base: the distribution of one site, batch_shape () and event_shape (C,).
        count: S, the number of sites.
    """

    def __init__(self, base: LatentDistribution, count: int) -> None:
        self.base, self.count = base, count
        super().__init__((), base.event_shape[0] * count)

    @property
    def mean(self) -> Tensor:
        return self.base.mean.repeat_interleave(self.count, -1)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        """Draw the numbers of each site on its own, (*sample_shape, C·S)."""
        # sites come first, so that noise keyed by example finds the examples in the last dimension of the samples
        drawn = self.base.rsample((self.count, *sample_shape), noise)
        return drawn.movedim(0, -1).flatten(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return Σ_s log p(z_s) in nats, (*z.shape[:-1])."""
        return self.base.log_prob(z.unflatten(-1, (-1, self.count)).transpose(-1, -2)).sum(-1)

    def detached(self) -> Sites:
        return Sites(self.base.detached(), self.count)
