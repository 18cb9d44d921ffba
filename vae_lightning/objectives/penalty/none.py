"""`objective/penalty=none`: the bound alone."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms


class NoPenalty(Penalty):
    """Adds nothing."""

    option = "objective/penalty=none"

    def forward(self, draws: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        return 0.0, {}
