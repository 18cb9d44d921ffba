"""A Gaussian with a full covariance matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, register_kl

from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import Noise


class FullNormal(MultivariateNormal):
    """N(μ, L Lᵀ); μ is (batch, latent_dim), and `scale_tril` = L is lower triangular with a positive diagonal.

    z = μ + L·ε, ε ~ N(0, I) from `noise`, or from torch's global generator.
    """

    def __init__(self, mean: Tensor, scale_tril: Tensor) -> None:
        super().__init__(mean, scale_tril=scale_tril, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        if noise is None:
            return super().rsample(torch.Size(sample_shape))
        epsilon = noise.normal(self.loc, tuple(sample_shape))
        # a sum rather than a matrix product, which mixed precision would compute in 16 bits
        return self.loc + (self.scale_tril * epsilon.unsqueeze(-2)).sum(-1)

    def detached(self) -> FullNormal:
        return FullNormal(self.loc.detach(), self.scale_tril.detach())


@register_kl(FullNormal, DiagonalNormal)
def _kl_full_diagonal(q: FullNormal, p: DiagonalNormal) -> Tensor:
    """KL = Σ log s_j − Σ log L_jj + ½(Σ_ij (L_ij/s_i)² + Σ ((μ_i − m_i)/s_i)² − d) for p = N(m, diag s²), (batch,)."""
    factor, scale = q.scale_tril, p.stddev
    logs = scale.log() - factor.diagonal(dim1=-2, dim2=-1).log()
    squares = (factor / scale.unsqueeze(-1)).square().sum(-1) + ((q.loc - p.mean) / scale).square()
    return (logs + 0.5 * (squares - 1)).sum(-1)
