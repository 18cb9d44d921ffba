"""`prior=standard_normal`: p(z) = N(0, I)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.errors import check_int
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal, UnitNormal
from vae_lightning.models.priors.base import Encode, Prior


class StandardNormal(Prior):
    """p(z) = N(0, I), event_shape (latent_dim,)."""

    option = "prior=standard_normal"
    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = check_int("latent_dim", latent_dim)
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> DiagonalNormal:
        return UnitNormal(self.mean, self.scale)
