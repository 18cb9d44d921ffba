"""log p(x|z) + log p(z) − log q(z|x), and the bounds on log p(x) made from it. The only place where densities meet.

Training, evaluation and plots all come here, so that a number in a log and a number in a table cannot disagree.
Everything is in nats per image: summed over pixels and latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_lightning.capabilities import DENSITY
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.cached import cached
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution, kl_per_layer
from vae_lightning.models.distributions.joint_latents import JointLatents, kl_per_part
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise

LogQ = Callable[[LatentDistribution, Tensor], Tensor]
_LEAST = 1e-12  # of a weight that is divided by: nothing beside 1, far above the smallest float32


class ELBOTerms:
    """z ~ q(z|x), (samples, batch, latent_dim), and the densities that meet there, each (samples, batch).

    log p(x|z) at once, the others when first asked for. log_q: how log q(z|x) is evaluated, (q, z) → (samples, batch), for
    gradient estimators that differ in it; then the KL is estimated from the draws, too, and never taken from its formula.
    apart: the densities of p see z under a name of its own, `z_of_p`, so that the gradient that comes back from them can be
    weighed anew (`reweighted`).
    """

    def __init__(
        self,
        vae: VAE,
        x: Tensor,
        samples: int = 1,
        noise: Noise | None = None,
        c: Tensor | None = None,
        log_q: LogQ | None = None,
        apart: bool = False,
    ) -> None:
        self.vae, self.x, self.c, self._log_q = vae, x, c, log_q
        self.q = vae.encode(x, c)
        self.p = vae.prior(c)
        self.z = self.q.rsample((samples,), noise=noise)  # z = μ + σ·ε
        self.apart, self.z_of_p = apart, self.z.view_as(self.z) if apart else self.z
        self.log_px = vae.decode(self.z_of_p, c).log_prob(x)

    @cached
    def log_pz(self) -> Tensor:
        """log p(z)."""
        return self.p.log_prob(self.z_of_p)

    @cached
    def log_qz(self) -> Tensor:
        """log q(z|x)."""
        return self._log_q(self.q, self.z) if self._log_q else self.q.log_prob(self.z)

    @cached
    def log_w(self) -> Tensor:
        """log w = log p(x|z) + log p(z) − log q(z|x); E[w] = p(x)."""
        return self.log_px + self.log_pz - self.log_qz

    @cached
    def reconstruction(self) -> Tensor:
        """−E_q[log p(x|z)] of each image, (batch,): the mean over its draws."""
        return -self.log_px.mean(0)

    @cached
    def mean_reconstruction(self) -> Tensor:
        """The mean of `reconstruction` over the batch, a scalar."""
        return -self.log_px.mean()

    @cached
    def mean_kl(self) -> Tensor:
        """The mean of `kl` over the batch, a scalar."""
        return self.kl.mean()

    @property
    def has_kl(self) -> bool:
        """Whether q has a density; else there are no KL, no ELBO and no weights."""
        return DENSITY in self.vae.posterior.capabilities

    @cached
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each image, (batch,): exact where torch knows the formula for this pair (or for a part of a joint
        code, or a layer), else from the draws."""
        if self._log_q is None:
            if self.kl_parts:
                return torch.stack(list(self.kl_parts.values())).sum(0)
            try:
                return kl_divergence(self.q, self.p)  # type: ignore[arg-type]
            except NotImplementedError:
                pass
        return (self.log_qz - self.log_pz).mean(0)

    @cached
    def kl_of_layers(self) -> tuple[Tensor, ...]:
        """Each layer's part of the KL, the lowest first, (batch,) each, from the draws; nothing where z is one layer."""
        if not (isinstance(self.q, HierarchicalDistribution) and isinstance(self.p, HierarchicalDistribution)):
            return ()
        return tuple(kl.mean(0) for kl in kl_per_layer(self.q, self.p, self.z, by_formula=self._log_q is None))

    @cached
    def kl_parts(self) -> dict[str, Tensor]:
        """The KL of each layer, or of each part of a joint code, by name, (batch,); they add up to it. Nothing where z is one."""
        if self.kl_of_layers:
            return {f"z{i}": kl for i, kl in enumerate(self.kl_of_layers, 1)}
        if isinstance(self.q, JointLatents) and isinstance(self.p, JointLatents):
            return kl_per_part(self.q, self.p, self.z)
        return {}

    @property
    def elbo(self) -> Tensor:
        """−(reconstruction + kl) of each image, (batch,), always at β = 1: a lower bound on log p(x)."""
        return -(self.reconstruction + self.kl)

    def reweighted(self, generative: Tensor, inference: Tensor) -> Tensor:
        """Σ_i a_i·log p(x, z_i) − b_i·log q(z_i|x) of each image, (batch,), for its gradient alone.

        a = `generative` and b = `inference`, (samples, batch), are constants. θ (decoder and prior) gets Σ a_i ∂log p(x, z_i)/∂θ;
        z_i, and by it the encoder, gets b_i ∂log w_i/∂z_i, since a hook on the way back from p to z turns a_i into b_i.
        """
        a, b = generative.detach().clamp_min(_LEAST), inference.detach()
        ratio = (b / a).unsqueeze(-1)
        if self.z_of_p.requires_grad:
            self.z_of_p.register_hook(lambda gradient: ratio * gradient)
        return (a * (self.log_px + self.log_pz) - b * self.log_qz).sum(0)


def elbo_terms(vae: VAE, x: Tensor, noise: Noise | None = None, samples: int = 1, c: Tensor | None = None) -> ELBOTerms:
    """E_q[log p_θ(x|z)] by `samples` draws of z and KL(q_φ(z|x) ‖ p(z)) (Kingma and Welling 2014, eq. 7 and 3).

    In `reconstruction`, `kl` and `elbo` of the answer.
    """
    return ELBOTerms(vae, x, samples, noise, c)


def log_weights(vae: VAE, x: Tensor, samples: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
    """log w = log p(x|z) + log p(z) − log q(z|x) for z ~ q(z|x), shape (samples, batch); E[w] = p(x)."""
    return ELBOTerms(vae, x, samples, noise, c).log_w


def iwae_bound(log_w: Tensor) -> Tensor:
    """log (1/k) Σ_i w_i, shape (batch,): the importance-weighted bound (Burda et al. 2016, section 3), → log p(x) as k grows."""
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])
