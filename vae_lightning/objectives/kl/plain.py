"""`objective/kl=plain`: β·KL."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import Draws
from vae_lightning.objectives.kl.base import KL


class Plain(KL):
    """β·KL(q(z|x) ‖ p(z)); nothing where q has no density (a plain auto-encoder)."""

    option = "objective/kl=plain"
    reweighs = False

    def forward(self, draws: Draws, beta: float | Tensor) -> float | Tensor:
        return beta * draws.mean_kl if draws.has_kl else 0.0
