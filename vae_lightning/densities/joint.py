"""Codes of several parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence, register_kl

from vae_lightning.densities.base import Latent
from vae_lightning.distributions import LatentDistribution
from vae_lightning.noise import Noise


class JointLatents(Latent):
    """Independent `parts` by name, all of one batch_shape; z is their vectors one after the other."""

    def __init__(self, parts: Mapping[str, LatentDistribution]) -> None:
        self.parts = dict(parts)
        self.sizes = [part.event_shape[0] for part in self.parts.values()]
        super().__init__(next(iter(self.parts.values())).batch_shape, sum(self.sizes))

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts.values()], -1)

    def rsample(self, sample_shape: Any = (), noise: Noise | None = None) -> Tensor:
        return torch.cat([part.rsample(sample_shape, noise) for part in self.parts.values()], -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Σ of the parts' log densities (or masses)."""
        pieces = zip(self.parts.values(), z.split(self.sizes, -1), strict=True)
        return torch.stack([part.log_prob(piece) for part, piece in pieces]).sum(0)

    def detached(self) -> JointLatents:
        return JointLatents({name: part.detached() for name, part in self.parts.items()})


@register_kl(JointLatents, JointLatents)
def _kl_joint(q: JointLatents, p: JointLatents) -> Tensor:
    """Σ over parts of KL(q_part ‖ p_part), (batch,); NotImplementedError where one part has no formula."""
    return torch.stack(list(kl_by_part(q, p).values())).sum(0)


def kl_by_part(q: JointLatents, p: JointLatents) -> dict[str, Tensor]:
    """KL(q_part ‖ p_part), (batch,), by the part's name."""
    return {name: kl_divergence(q.parts[name], p.parts[name]) for name in q.parts}  # type: ignore[arg-type]
