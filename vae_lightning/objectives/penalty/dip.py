"""`objective/penalty=dip`: push the covariance of the codes to the identity (Kumar et al. 2018, DIP-VAE)."""

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
    """λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)² (Kumar et al. 2018); logs the penalty as `dip`, which is not in nats.

    The covariance C is over the batch: of the means, C = Cov_x[μ(x)], in DIP-VAE-I, and of the codes,
    C = Cov_q(z)[z] = E_x[diag σ²(x)] + Cov_x[μ(x)], in DIP-VAE-II.

    Args:
        variant: "I" or "II".
        off_diagonal: λ_od.
        diagonal: λ_d.
    """

    option = "objective/penalty=dip"
    posterior_needs = frozenset({REAL_SPACE})

    def __init__(self, variant: str = "II", off_diagonal: float = 10.0, diagonal: float = 10.0) -> None:
        super().__init__()
        self.variant = check_choice("variant", variant, ("I", "II"))
        self.off_diagonal, self.diagonal = check_number("off_diagonal", off_diagonal, 0), check_number("diagonal", diagonal, 0)

    def check(self, vae: VAE) -> None:
        """Raise UserError also if DIP-VAE-II has no variance per dimension to use."""
        super().check(vae)
        if self.variant == "II":  # uses σ² of each dimension
            require(self, frozenset({KL_PER_DIMENSION}), vae.posterior)

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        covariance = covariance_of(terms.q.mean)
        if self.variant == "II":
            covariance = covariance + terms.q.variance.mean(0).diag()  # type: ignore[attr-defined]  # guaranteed by `check`
        diagonal = covariance.diagonal()
        off_diagonal = covariance.square().sum() - diagonal.square().sum()
        dip = self.off_diagonal * off_diagonal + self.diagonal * (diagonal - 1).square().sum()
        return dip, {"dip": dip}


def covariance_of(mean: Tensor) -> Tensor:
    """E[μμᵀ] − E[μ]E[μ]ᵀ over the batch: (batch, latent_dim) → (latent_dim, latent_dim)."""
    centred = mean - mean.mean(0)
    return torch.einsum("bi,bj->ij", centred, centred) / len(mean)
