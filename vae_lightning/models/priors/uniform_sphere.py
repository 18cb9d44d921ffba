"""`prior=uniform_sphere`: every direction is equally likely."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE
from vae_lightning.errors import check_int
from vae_lightning.models.distributions.spherical import HypersphericalUniform as Distribution
from vae_lightning.models.priors.base import Encode, Prior


class UniformSphere(Prior):
    """p(z) = 1/|S^(latent_dim − 1)| on the unit sphere (Davidson et al. 2018)."""

    option = "prior=uniform_sphere"
    capabilities = frozenset({DENSITY, DENSITY_ANYWHERE})
    space = "sphere"
    like: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = check_int("latent_dim", latent_dim, 2)
        self.register_buffer("like", torch.zeros(latent_dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> Distribution:
        return Distribution(self.like)
