"""`condition=none`: an unconditional VAE."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.models.conditions.base import Condition
from vae_lightning.models.distributions.base import LatentDistribution


class NoCondition(Condition):
    """No condition: labels are ignored."""

    option = "condition=none"

    def encoder_input(self, x: Tensor, c: Tensor | None) -> Tensor:
        return x

    def decoder_input(self, z: Tensor, c: Tensor | None) -> Tensor:
        return z

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        return p
