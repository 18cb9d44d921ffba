"""log p(x|z) + log p(z) − log q(z|x), and the bounds on log p(x) made from it. The only place where densities meet.

Training, evaluation and plots all come here, so that a number in a log and a number in a table cannot disagree.
Everything is in nats per image: summed over pixels and latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_lightning.abilities import DENSITY
from vae_lightning.distributions import LatentDistribution
from vae_lightning.layered import Layered, kl_of_layers
from vae_lightning.noise import Noise
from vae_lightning.vae import VAE

LogQ = Callable[[LatentDistribution, Tensor], Tensor]


class Draws:
    """z ~ q(z|x), (samples, batch, latent_dim), and the densities that meet there, each (samples, batch).

    log p(x|z) at once, the others when first asked for. log_q: how log q(z|x) is evaluated, (q, z) → (samples, batch), for
    gradient estimators that differ in it; then the KL is estimated from the draws, too, and never taken from its formula.
    """

    def __init__(
        self,
        vae: VAE,
        x: Tensor,
        samples: int = 1,
        noise: Noise | None = None,
        c: Tensor | None = None,
        log_q: LogQ | None = None,
    ) -> None:
        self.vae, self.x, self.c, self._log_q = vae, x, c, log_q
        self.q = vae.encode(x, c)
        self.p = vae.prior(c)
        self.z = self.q.rsample((samples,), noise=noise)  # z = μ + σ·ε
        self.log_px = vae.decode(self.z, c).log_prob(x)

    @cached_property
    def log_pz(self) -> Tensor:
        """log p(z)."""
        return self.p.log_prob(self.z)

    @cached_property
    def log_qz(self) -> Tensor:
        """log q(z|x)."""
        return self._log_q(self.q, self.z) if self._log_q else self.q.log_prob(self.z)

    @cached_property
    def log_w(self) -> Tensor:
        """log w = log p(x|z) + log p(z) − log q(z|x); E[w] = p(x)."""
        return self.log_px + self.log_pz - self.log_qz

    @cached_property
    def reconstruction(self) -> Tensor:
        """−E_q[log p(x|z)] of each image, (batch,): the mean over its draws."""
        return -self.log_px.mean(0)

    @property
    def has_kl(self) -> bool:
        """Whether q has a density; else there are no KL, no ELBO and no weights."""
        return DENSITY in self.vae.posterior.abilities

    @cached_property
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each image, (batch,): exact where torch knows the formula for this pair, else from the draws."""
        if self._log_q is None:
            if self.kl_of_layers:
                return torch.stack(self.kl_of_layers).sum(0)
            try:
                return kl_divergence(self.q, self.p)  # type: ignore[arg-type]
            except NotImplementedError:
                pass
        return (self.log_qz - self.log_pz).mean(0)

    @cached_property
    def kl_of_layers(self) -> tuple[Tensor, ...]:
        """Each layer's part of the KL, the lowest first, (batch,) each, from the draws; nothing where z is one layer."""
        if not (isinstance(self.q, Layered) and isinstance(self.p, Layered)):
            return ()
        return tuple(kl.mean(0) for kl in kl_of_layers(self.q, self.p, self.z, by_formula=self._log_q is None))

    @property
    def kl_parts(self) -> dict[str, Tensor]:
        """What each of several layers adds to the KL, by name, (batch,)."""
        return {f"z{i}": kl for i, kl in enumerate(self.kl_of_layers, 1)}

    @property
    def elbo(self) -> Tensor:
        """−(reconstruction + kl) of each image, (batch,), always at β = 1: a lower bound on log p(x)."""
        return -(self.reconstruction + self.kl)


def elbo_terms(vae: VAE, x: Tensor, noise: Noise | None = None, samples: int = 1, c: Tensor | None = None) -> Draws:
    """E_q[log p_θ(x|z)] by `samples` draws of z and KL(q_φ(z|x) ‖ p(z)) (Kingma and Welling 2014, eq. 7 and 3).

    In `reconstruction`, `kl` and `elbo` of the answer.
    """
    return Draws(vae, x, samples, noise, c)


def log_weights(vae: VAE, x: Tensor, samples: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
    """log w = log p(x|z) + log p(z) − log q(z|x) for z ~ q(z|x), shape (samples, batch); E[w] = p(x)."""
    return Draws(vae, x, samples, noise, c).log_w


def iwae(log_w: Tensor) -> Tensor:
    """log (1/k) Σ_i w_i, shape (batch,): the importance-weighted bound (Burda et al. 2016, eq. 8), → log p(x) as k grows."""
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])
