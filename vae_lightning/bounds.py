"""log p(x|z) + log p(z) − log q(z|x), and the bounds on log p(x) made from it. The only place where densities meet.

Training, evaluation and plots all come here, so that a number in a log and a number in a table cannot disagree.
Everything is in nats per image: summed over pixels and latent dimensions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_lightning.noise import Noise
from vae_lightning.vae import VAE


class Terms(NamedTuple):
    """The two terms of the ELBO of each image, shape (batch,): −E_q[log p(x|z)] and KL(q(z|x) ‖ p(z)); and q(z|x) itself."""

    reconstruction: Tensor
    kl: Tensor
    q: Distribution

    @property
    def elbo(self) -> Tensor:
        """−(reconstruction + kl), always at β = 1: a lower bound on log p(x)."""
        return -(self.reconstruction + self.kl)


def elbo_terms(vae: VAE, x: Tensor, noise: Noise | None = None, samples: int = 1) -> Terms:
    """E_q[log p_θ(x|z)] by `samples` draws of z and KL(q_φ(z|x) ‖ p(z)) (Kingma and Welling 2014, eq. 7 and 3).

    The KL is exact where torch knows the formula for this pair, else estimated from the same draws.
    """
    q = vae.encode(x)
    z = q.rsample((samples,) if samples > 1 else (), noise=noise)  # z = μ + σ·ε
    p = vae.prior()
    reconstruction = -vae.decode(z).log_prob(x)
    try:
        kl = kl_divergence(q, p)
    except NotImplementedError:
        kl = q.log_prob(z) - p.log_prob(z)
    return Terms(_mean_over_samples(reconstruction), _mean_over_samples(kl), q)


def _mean_over_samples(values: Tensor) -> Tensor:
    """(samples, batch) or (batch,) → (batch,)."""
    return values.mean(0) if values.ndim > 1 else values


def log_weights(vae: VAE, x: Tensor, samples: int, noise: Noise | None = None) -> Tensor:
    """log w = log p(x|z) + log p(z) − log q(z|x) for z ~ q(z|x), shape (samples, batch); E[w] = p(x)."""
    q = vae.encode(x)
    z = q.rsample((samples,), noise=noise)
    return vae.decode(z).log_prob(x) + vae.prior().log_prob(z) - q.log_prob(z)


def iwae(log_w: Tensor) -> Tensor:
    """log (1/k) Σ_i w_i, shape (batch,): the importance-weighted bound (Burda et al. 2016, eq. 8), → log p(x) as k grows."""
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])
