"""Codes made of several independent parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import kl_divergence, register_kl

from vae_lightning.models.distributions.base import LatentBase, LatentDistribution, kl_or_sample
from vae_lightning.noise import Noise


class JointLatents(LatentBase):
    """Independent `parts` by name, all with the same batch_shape; z is their vectors concatenated."""

    def __init__(self, parts: Mapping[str, LatentDistribution]) -> None:
        self.parts = dict(parts)
        self.sizes = [part.event_shape[0] for part in self.parts.values()]
        super().__init__(next(iter(self.parts.values())).batch_shape, sum(self.sizes))
        self._last: tuple[Tensor, list[Tensor]] | None = None  # the last z drawn, and its pieces

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts.values()], -1)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        pieces = [part.rsample(sample_shape, noise) for part in self.parts.values()]
        self._last = torch.cat(pieces, -1), pieces
        return self._last[0]

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the sum of the parts' log densities (or masses), in nats."""
        pieces = zip(self.parts.values(), self.pieces(z), strict=True)
        return torch.stack([part.log_prob(piece) for part, piece in pieces]).sum(0)

    def pieces(self, z: Tensor) -> list[Tensor]:
        """Split z into the numbers of each part.

        For the last draw these are the very tensors that were drawn, at which a flow knows its density without an inverse.
        """
        return self._last[1] if self._last is not None and z is self._last[0] else list(z.split(self.sizes, -1))

    def detached(self) -> JointLatents:
        return JointLatents({name: part.detached() for name, part in self.parts.items()})


@register_kl(JointLatents, JointLatents)
def _kl_joint(q: JointLatents, p: JointLatents) -> Tensor:
    """Σ over parts of KL(q_part ‖ p_part), (batch,); NotImplementedError if a part has no formula."""
    return torch.stack([kl_divergence(q.parts[name], p.parts[name]) for name in q.parts]).sum(0)  # type: ignore[arg-type]


def kl_per_part(q: JointLatents, p: JointLatents, z: Tensor) -> dict[str, Tensor]:
    """Return KL(q_part ‖ p_part) of each part by name, in nats.

    Args:
        q: q(z|x).
        p: p(z).
        z: draws from q, (..., batch, latent_dim).

    Returns:
        (batch,) for a part with a formula, else log q_part(z_part) − log p_part(z_part) of the draws, (..., batch).
    """
    pieces = dict(zip(q.parts, q.pieces(z), strict=True))
    return {name: kl_or_sample(part, p.parts[name], pieces[name]) for name, part in q.parts.items()}
