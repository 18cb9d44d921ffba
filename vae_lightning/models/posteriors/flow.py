"""`posterior=flow`, `posterior=planar`: a Gaussian transformed by a normalizing flow."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import DENSITY_ANYWHERE, EVERYTHING, KL_PER_DIMENSION
from vae_lightning.errors import MOST_LAYERS, check_int
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.normalizing_flow import FlowDistribution, PlanarBijection, ZukoBijection, check_flow_sizes
from vae_lightning.models.posteriors.base import Posterior


class InverseAutoregressive(Posterior):
    """Inverse autoregressive flow (Kingma et al. 2016, section 3).

    z ~ N(μ_φ(x), diag σ²_φ(x)), then `steps` times z_i ← z_i·s_i(z_{<i}, h) + m_i(z_{<i}, h), reversing the order of dimensions
    in between. s > 0 and m are masked networks that also see h, given by the encoder. The maps are affine, exp(a)·z + b, as in
    zuko (the paper also tries these, but prefers gated ones). Drawing takes one pass per step and gives log q at the draw; at
    any other z, log q takes latent_dim passes.

    Args:
        latent_dim: numbers in z.
        steps: number of transformations.
        context: numbers in h.
        hidden: widths of the masked networks.
    """

    option = "posterior=flow"
    capabilities = EVERYTHING - {KL_PER_DIMENSION}

    def __init__(
        self, latent_dim: int, steps: int = 2, context: int = 16, hidden: list[int] | tuple[int, ...] = (64, 64)
    ) -> None:
        super().__init__()
        self.latent_dim, self.steps = check_int("latent_dim", latent_dim), check_int("steps", steps, 1, MOST_LAYERS)
        self.context = check_int("context", context)
        from zuko.flows import MaskedAutoregressiveTransform
        from zuko.lazy import LazyComposedTransform

        order, sizes = torch.arange(latent_dim), check_flow_sizes(latent_dim, hidden, steps)
        transforms = [
            MaskedAutoregressiveTransform(latent_dim, context, order=order.flip(0) if i % 2 else order, hidden_features=sizes)
            for i in range(steps)
        ]
        self.bijection = ZukoBijection(LazyComposedTransform(*transforms), generates=True)

    @property
    def features(self) -> int:
        """2·latent_dim + context: μ and log σ² of the base, and h."""
        return 2 * self.latent_dim + self.context

    def forward(self, features: Tensor) -> FlowDistribution:
        mean, log_variance, context = features.float().split([self.latent_dim, self.latent_dim, self.context], -1)
        return FlowDistribution(DiagonalNormal(mean, (0.5 * log_variance).exp()), self.bijection, context)


class PlanarFlow(Posterior):
    """Planar flow (Rezende and Mohamed 2015, section 4.1).

    z_0 ~ N(μ_φ(x), diag σ²_φ(x)), then `steps` times z ← z + û·tanh(wᵀz + b), where the encoder gives u, w, b of each step. log
    q is known only at its own draws, since the steps have no closed-form inverse.
    """

    option = "posterior=planar"
    capabilities = EVERYTHING - {KL_PER_DIMENSION, DENSITY_ANYWHERE}

    def __init__(self, latent_dim: int, steps: int = 10) -> None:
        super().__init__()
        self.latent_dim, self.steps = check_int("latent_dim", latent_dim), check_int("steps", steps, 1, MOST_LAYERS)
        self.bijection = PlanarBijection(latent_dim, steps)

    @property
    def features(self) -> int:
        """2·latent_dim + steps·(2·latent_dim + 1): μ and log σ² of the base; u, w, b of each step."""
        return 2 * self.latent_dim + self.steps * (2 * self.latent_dim + 1)

    def forward(self, features: Tensor) -> FlowDistribution:
        d = self.latent_dim
        mean, log_variance, context = features.float().split([d, d, self.features - 2 * d], -1)
        return FlowDistribution(DiagonalNormal(mean, (0.5 * log_variance).exp()), self.bijection, context)
