"""`objective/penalty=dip`: codes whose covariance is the identity (Kumar et al. 2018, DIP-VAE)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import KL_PER_DIMENSION, REAL_SPACE, require
from vae_lightning.errors import check_choice, check_number
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms


class DIPPenalty(Penalty):
    """λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)², λ_od = `off_diagonal`, λ_d = `diagonal` (Kumar et al. 2018).

    DIP-VAE-I: C = Cov_x[μ(x)] of the means E_q[z|x]; DIP-VAE-II: C = Cov_q(z)[z] = E_x[diag σ²(x)] + Cov_x[μ(x)], of the codes.
    Both over the batch. Reports `dip`, the penalty; no nats.
    """

    option = "objective/penalty=dip"
    needs_of_posterior = frozenset({REAL_SPACE})

    def __init__(self, variant: str = "II", off_diagonal: float = 10.0, diagonal: float = 10.0) -> None:
        super().__init__()
        self.variant = check_choice("variant", variant, ("I", "II"))
        self.off_diagonal, self.diagonal = check_number("off_diagonal", off_diagonal, 0), check_number("diagonal", diagonal, 0)

    def check(self, vae: VAE) -> None:
        super().check(vae)
        if self.variant == "II":  # σ² of each dimension
            require(self, frozenset({KL_PER_DIMENSION}), vae.posterior)

    def forward(self, draws: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        covariance = covariance_of(draws.q.mean)
        if self.variant == "II":
            covariance = covariance + draws.q.variance.mean(0).diag()  # type: ignore[attr-defined]
        diagonal = covariance.diagonal()
        off_diagonal = covariance.square().sum() - diagonal.square().sum()
        dip = self.off_diagonal * off_diagonal + self.diagonal * (diagonal - 1).square().sum()
        return dip, {"dip": dip}


def covariance_of(mean: Tensor) -> Tensor:
    """E[μμᵀ] − E[μ]E[μ]ᵀ over the batch: (batch, latent_dim) → (latent_dim, latent_dim)."""
    centred = mean - mean.mean(0)
    return torch.einsum("bi,bj->ij", centred, centred) / len(mean)
