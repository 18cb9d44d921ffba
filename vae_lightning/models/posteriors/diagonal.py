"""`posterior=diagonal`: a Gaussian with its own mean and variance for each latent dimension."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vae_lightning.errors import check_int
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.posteriors.base import Posterior, check_grid_sizes, sites


class Diagonal(Posterior):
    """q_φ(z|x) = N(μ_φ(x), diag σ²_φ(x)); the encoder gives μ and log σ² (Kingma and Welling 2014, eq. 9).

    z is drawn in `DiagonalNormal.rsample`, the reparameterisation trick.

    Args:
        latent_dim: numbers of z, at each site if there is a grid.
        grid: (h, w) for a code of latent_dim channels at each of h×w sites; None for a vector.
    """

    option = "posterior=diagonal"

    def __init__(self, latent_dim: int, grid: Sequence[int] | None = None) -> None:
        super().__init__()
        self.grid = check_grid_sizes(grid)
        self.latent_dim = check_int("latent_dim", latent_dim) * sites(self.grid)

    @property
    def features(self) -> int:
        """2·latent_dim: μ and log σ² of each latent dimension."""
        return 2 * self.latent_dim

    def forward(self, features: Tensor) -> DiagonalNormal:
        """(batch, features) → q(z|x), batch_shape (batch,), event_shape (latent_dim,)."""
        mean, log_variance = features.float().chunk(2, dim=-1)  # float32 also under mixed precision
        return DiagonalNormal(mean, (0.5 * log_variance).exp())
