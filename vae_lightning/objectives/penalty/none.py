"""`objective/penalty=none`: no penalty."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms


class NoPenalty(Penalty):
    """Add nothing to the loss."""

    option = "objective/penalty=none"

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        return 0.0, {}
