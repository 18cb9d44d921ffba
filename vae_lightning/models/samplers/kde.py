"""`sampler=kde`: a Gaussian around each code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_lightning.errors import check_number
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.gaussian_mixture import Mixture
from vae_lightning.models.samplers.base import MOST_CODES, Sampler, rows_of


class KDESampler(Sampler):
    """q(z) ≈ (1/N) Σ_i N(z; z_i, h² diag s²): a kernel density estimate, with s_j the standard deviation of dimension j.

    Args:
        latent_dim: how many numbers z has.
        bandwidth: h; None for Scott's rule, N^(−1/(latent_dim + 4)).
        images: how many training images, evenly spaced, whose codes are kept; None for all.
    """

    option = "sampler=kde"
    codes: Tensor
    width: Tensor

    def __init__(self, latent_dim: int, bandwidth: float | None = None, images: int | None = 10_000) -> None:
        super().__init__(latent_dim, images)
        self.bandwidth = None if bandwidth is None else check_number("bandwidth", bandwidth, 0, above=True)
        self._allocate(1)

    def _allocate(self, codes: int) -> None:
        """Make the buffers: the codes, (N, d), and h, a scalar."""
        self.register_buffer("codes", torch.zeros(codes, self.latent_dim))
        self.register_buffer("width", torch.ones(()))

    def make_room(self, tensors: Mapping[str, Any]) -> None:
        self._allocate(rows_of(tensors.get("codes"), MOST_CODES) or 1)

    def fit_standardised(self, codes: Tensor, seed: int) -> str:
        from sklearn.neighbors import KernelDensity

        self._allocate(len(codes))
        self.codes.copy_(codes)
        found = KernelDensity(bandwidth="scott" if self.bandwidth is None else self.bandwidth).fit(codes.numpy())
        self.width.fill_(found.bandwidth_)
        return f"bandwidth {found.bandwidth_:.3f}"

    def standardised(self) -> LatentDistribution:
        weights = self.width.new_zeros(len(self.codes)).log_softmax(0)
        return Mixture(weights, lambda index: DiagonalNormal(self.codes[index], self.width), self.latent_dim)
