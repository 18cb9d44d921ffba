"""KL(q ‖ p) of any posterior and prior: exact where a formula is known, estimated from draws of q otherwise.

The closed form for Gaussians is `_kl_to_unit` in `diagonal_normal.py`; torch knows the one between two diagonal Gaussians.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentDistribution, exact_kl
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution, kl_per_layer
from vae_lightning.models.distributions.joint_latents import JointLatents, kl_per_part


def kl_terms(q: LatentDistribution, p: LatentDistribution, z: Tensor, closed_form: bool = True) -> dict[str, Tensor]:
    """Return the KL of each layer of a hierarchy, or of each part of a joint code; the terms add up to the KL.

    Args:
        q: q(z|x).
        p: p(z).
        z: draws from q, (..., batch, latent_dim).
        closed_form: whether the KL of a layer may be taken from its formula.

    Returns:
        Nats by name, (batch,) each: `z1`, `z2` … for layers, `continuous` and `discrete` for parts; empty for a plain code.
    """
    if isinstance(q, HierarchicalDistribution) and isinstance(p, HierarchicalDistribution):
        return {f"z{i}": mean_over_draws(kl) for i, kl in enumerate(kl_per_layer(q, p, z, closed_form=closed_form), 1)}
    if isinstance(q, JointLatents) and isinstance(p, JointLatents):
        return {name: mean_over_draws(kl) for name, kl in kl_per_part(q, p, z).items()}
    return {}


def kl_divergence(q: LatentDistribution, p: LatentDistribution, z: Tensor) -> Tensor:
    """KL(q(z|x) ‖ p(z)) of each image.

    Args:
        q: q(z|x).
        p: p(z).
        z: draws from q, (..., batch, latent_dim). Where no formula is known, the KL is their mean log q(z|x) − log p(z).

    Returns:
        Nats, (batch,).
    """
    if terms := kl_terms(q, p, z):
        return torch.stack(list(terms.values())).sum(0)
    exact = exact_kl(q, p)
    return mean_over_draws(q.log_prob(z) - p.log_prob(z)) if exact is None else exact


def mean_over_draws(values: Tensor) -> Tensor:
    """(..., batch) → (batch,)."""
    return values.reshape(-1, values.shape[-1]).mean(0)
