"""What every penalty says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.noise import Noise
from vae_lightning.objectives.part import ObjectiveTerm
from vae_lightning.objectives.terms import ELBOTerms


class Penalty(ObjectiveTerm):
    """A term added to the loss. `takes_beta`: whether β weighs it, instead of the KL."""

    takes_beta: ClassVar[bool] = False

    def forward(self, draws: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        """(the scalar to add, what is reported by name), means over the batch in nats per image."""
        raise NotImplementedError
