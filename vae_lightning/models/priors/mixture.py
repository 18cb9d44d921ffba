"""`prior=mixture`: a learned Gaussian mixture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY, EVERYTHING, KL_PER_DIMENSION
from vae_lightning.errors import check_int, check_number
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.gaussian_mixture import Mixture
from vae_lightning.models.distributions.sites import Sites
from vae_lightning.models.posteriors.base import sites
from vae_lightning.models.priors.base import Encode, Prior


class GaussianMixture(Prior):
    """p(z) = Σ_k w_k N(z; μ_k, diag σ²_k), with w, μ and σ learned.

    All components start with w_k = 1/K and σ_k = 1, and with μ_k ~ N(0, spread²·I).

    On a grid, p(z) = Π_s Σ_k w_k N(z_s; μ_k, diag σ²_k): the numbers of each site s come from the same mixture, independently.

    Args:
        latent_dim: numbers in z, at each site if there is a grid.
        components: K.
        spread: standard deviation of the initial means.
        grid: the posterior's (h, w); None for a vector.
    """

    option = "prior=mixture"
    capabilities = EVERYTHING - {KL_PER_DIMENSION}
    needs = frozenset({DENSITY})

    def __init__(self, latent_dim: int, components: int = 10, spread: float = 1.0, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.channels, self.grid = check_int("latent_dim", latent_dim), grid
        self.latent_dim = latent_dim * sites(grid)
        shape = check_int("components", components), latent_dim
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(check_number("spread", spread, 0, above=True) * torch.randn(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self, encode: Encode | None = None) -> Mixture | Sites:
        scale = self.log_scale.exp()

        def select(index: slice | Tensor) -> DiagonalNormal:
            return DiagonalNormal(self.mean[index], scale[index])

        mixture = Mixture(self.logits.log_softmax(0), select, self.channels)
        return mixture if self.grid is None else Sites(mixture, sites(self.grid))
