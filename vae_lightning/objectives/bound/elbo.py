"""`objective/bound=elbo`: the evidence lower bound, with its KL weighted by β (Higgins et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import Draws
from vae_lightning.objectives.bound.base import Bound
from vae_lightning.objectives.gradient import Gradient
from vae_lightning.objectives.kl import KL


class ELBO(Bound):
    """loss = E_q[−log p_θ(x|z)] + β·KL(q_φ(z|x) ‖ p(z)).

    The first term pulls the output to the input, the second the codes to the prior. samples: draws of z per image.
    """

    option = "objective/bound=elbo"
    has_kl_term = True

    def forward(self, draws: Draws, kl: KL, beta: float | Tensor, gradient: Gradient) -> Tensor:
        return draws.mean_reconstruction + kl(draws, beta)

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """Nothing: the ELBO's terms are always reported."""
        return {}
