"""`prior=standard_normal`: p(z) = N(0, I)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.errors import check_int
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal, UnitNormal
from vae_lightning.models.posteriors.base import sites
from vae_lightning.models.priors.base import Encode, Prior


class StandardNormal(Prior):
    """p(z) = N(0, I), event_shape (latent_dim,), or (latent_dim·h·w,) on a grid.

    Args:
        latent_dim: numbers of z, at each site if there is a grid.
        grid: the posterior's (h, w); None for a vector.
    """

    option = "prior=standard_normal"
    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.latent_dim = check_int("latent_dim", latent_dim) * sites(grid)
        self.register_buffer("mean", torch.zeros(self.latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(self.latent_dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> DiagonalNormal:
        return UnitNormal(self.mean, self.scale)
