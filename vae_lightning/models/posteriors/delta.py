"""`posterior=delta`: a single code for each image instead of a distribution, which makes a plain auto-encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import check_int
from vae_lightning.models.distributions.point_mass import PointMassDistribution
from vae_lightning.models.posteriors.base import Posterior, check_grid_sizes, sites


class PointMass(Posterior):
    """q(z|x) = δ(z − f_φ(x)): z is the encoder's output, without noise.

    It has no density, so KL, ELBO and NLL are undefined and left out everywhere; only the reconstruction is trained and
    monitored. Nothing pulls the codes towards the prior, so decoded draws from the prior rarely look like images.

    Args:
        latent_dim: numbers of z, at each site if there is a grid.
        grid: (h, w) for a code of latent_dim channels at each of h×w sites; None for a vector.
    """

    option = "posterior=delta"
    capabilities = frozenset({REAL_SPACE})

    def __init__(self, latent_dim: int, grid: Sequence[int] | None = None) -> None:
        super().__init__()
        self.grid = check_grid_sizes(grid)
        self.latent_dim = check_int("latent_dim", latent_dim) * sites(self.grid)

    @property
    def features(self) -> int:
        """latent_dim: the code itself."""
        return self.latent_dim

    def forward(self, features: Tensor) -> PointMassDistribution:
        return PointMassDistribution(features.float())
