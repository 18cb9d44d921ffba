"""`condition=none`: a plain VAE."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.models.conditions.base import Condition
from vae_lightning.models.distributions.base import LatentDistribution


class NoCondition(Condition):
    """Nothing is given: labels are passed over."""

    option = "condition=none"

    def image(self, x: Tensor, c: Tensor | None) -> Tensor:
        return x

    def latent(self, z: Tensor, c: Tensor | None) -> Tensor:
        return z

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        return p
