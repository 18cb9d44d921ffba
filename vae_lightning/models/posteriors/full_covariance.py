"""`posterior=full_covariance`: a Gaussian whose latent dimensions are correlated given the image."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import EVERYTHING, KL_PER_DIMENSION
from vae_lightning.errors import check_int
from vae_lightning.models.distributions.full_normal import FullNormal
from vae_lightning.models.posteriors.base import Posterior


class FullCovariance(Posterior):
    """q_φ(z|x) = N(μ_φ(x), L Lᵀ), L = diag(σ_φ(x)) plus entries below the diagonal (Kingma and Welling 2019, section 2.5.1).

    The encoder gives μ, log σ² and the d(d − 1)/2 entries below the diagonal; with those at 0 it is `diagonal`. The KL to a
    diagonal Gaussian has a closed form.
    """

    option = "posterior=full_covariance"
    capabilities = EVERYTHING - {KL_PER_DIMENSION}
    rows: Tensor
    columns: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = check_int("latent_dim", latent_dim)
        rows, columns = torch.tril_indices(latent_dim, latent_dim, -1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    @property
    def features(self) -> int:
        """2·latent_dim + latent_dim·(latent_dim − 1)/2."""
        return 2 * self.latent_dim + self.latent_dim * (self.latent_dim - 1) // 2

    def forward(self, features: Tensor) -> FullNormal:
        d = self.latent_dim
        mean, log_variance, below = features.float().split([d, d, self.features - 2 * d], -1)
        factor = torch.diag_embed((0.5 * log_variance).exp())
        factor[..., self.rows, self.columns] = below
        return FullNormal(mean, factor)
