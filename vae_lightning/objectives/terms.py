"""The densities log p(x|z), log p(z) and log q(z|x) of one batch, and the bounds on log p(x) made from them.

Training and evaluation both use `ELBOTerms`, so that a number in a log and a number in a table cannot disagree. With one draw it
equals `VAE.elbo` bit for bit. Everything is in nats per image: summed over pixels and latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentDistribution, exact_kl
from vae_lightning.models.distributions.cached import cached
from vae_lightning.models.distributions.divergence import kl_terms
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise

LogQ = Callable[[LatentDistribution, Tensor], Tensor]
_SMALLEST_WEIGHT = 1e-12  # lower limit of a weight that is divided by: negligible beside 1, far above the smallest float32


class ELBOTerms:
    """z ~ q(z|x), (samples, batch, latent_dim), and the densities there, each (samples, batch).

    log p(x|z) is computed at once, the others when first needed.

    Args:
        vae: the model.
        x: images, (batch, channels, height, width).
        samples: draws of z per image.
        noise: where ε comes from; None for torch's global generator.
        c: labels, (batch,), of a conditional VAE.
        log_q: how log q(z|x) is evaluated, (q, z) → (samples, batch), if the gradient estimator changes that. The KL is then
            estimated from the draws, never taken from a formula.
        split_gradient: give the decoder and the prior their own view of z, `decoder_z`, so that the gradient coming back
            from them can be reweighted before it reaches the encoder (`weighted_log_w`).
    """

    def __init__(
        self,
        vae: VAE,
        x: Tensor,
        samples: int = 1,
        noise: Noise | None = None,
        c: Tensor | None = None,
        log_q: LogQ | None = None,
        split_gradient: bool = False,
    ) -> None:
        self.vae, self.x, self.c, self._log_q = vae, x, c, log_q
        self.q = vae.encode(x, c)
        self.p = vae.prior(c)
        self.z = self.q.rsample((samples,), noise=noise)  # z = μ + σ·ε
        self.split_gradient, self.decoder_z = split_gradient, self.z.view_as(self.z) if split_gradient else self.z
        self.log_px = vae.decode(self.decoder_z, c).log_prob(x)

    @cached
    def log_pz(self) -> Tensor:
        """Log density of the prior, log p(z), in nats, (samples, batch)."""
        return self.p.log_prob(self.decoder_z)

    @cached
    def log_qz(self) -> Tensor:
        """Log density of the posterior, log q(z|x), in nats, (samples, batch)."""
        return self._log_q(self.q, self.z) if self._log_q else self.q.log_prob(self.z)

    @cached
    def log_w(self) -> Tensor:
        """Log importance weights, log w = log p(x|z) + log p(z) − log q(z|x), in nats, (samples, batch); E[w] = p(x)."""
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
        """Whether q(z|x) has a density; without one there is no KL, no ELBO and no importance weight."""
        return self.vae.has_density

    @cached
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each image, (batch,): by its formula if there is one, else estimated from the draws."""
        if self._log_q is None:
            if self.kl_by_part:
                return torch.stack(list(self.kl_by_part.values())).sum(0)
            exact = exact_kl(self.q, self.p)
            if exact is not None:
                return exact
        return (self.log_qz - self.log_pz).mean(0)

    @cached
    def kl_by_part(self) -> dict[str, Tensor]:
        """The KL of each layer of a hierarchy or part of a joint code by name, (batch,); empty for a plain code."""
        return kl_terms(self.q, self.p, self.z, closed_form=self._log_q is None)

    @property
    def elbo(self) -> Tensor:
        """−(reconstruction + kl) of each image, (batch,), always at β = 1: a lower bound on log p(x)."""
        return -(self.reconstruction + self.kl)

    def weighted_log_w(self, decoder_weights: Tensor, encoder_weights: Tensor) -> Tensor:
        """Return a surrogate whose gradient weights the draws differently for the decoder and for the encoder.

        The value is Σ_i a_i·log p(x, z_i) − b_i·log q(z_i|x). Decoder and prior get Σ_i a_i ∂log p(x, z_i)/∂θ. Each z_i, and
        through it the encoder, gets b_i ∂log w_i/∂z_i: a hook rescales the gradient that comes back from p by b_i/a_i.

        Args:
            decoder_weights: a, (samples, batch), used as constants.
            encoder_weights: b, (samples, batch), used as constants.

        Returns:
            (batch,), only meant to be differentiated.
        """
        a, b = decoder_weights.detach().clamp_min(_SMALLEST_WEIGHT), encoder_weights.detach()
        ratio = (b / a).unsqueeze(-1)
        if self.decoder_z.requires_grad:
            self.decoder_z.register_hook(lambda gradient: ratio * gradient)
        return (a * (self.log_px + self.log_pz) - b * self.log_qz).sum(0)


def elbo_terms(vae: VAE, x: Tensor, noise: Noise | None = None, samples: int = 1, c: Tensor | None = None) -> ELBOTerms:
    """Draw z and return the terms of the ELBO (Kingma and Welling 2014, eq. 7 and 3).

    Args:
        vae: the model.
        x: images, (batch, channels, height, width).
        noise: where ε comes from; None for torch's global generator.
        samples: draws of z per image.
        c: labels, (batch,), of a conditional VAE.

    Returns:
        The terms: its `reconstruction`, `kl` and `elbo` are those of each image, in nats, (batch,).
    """
    return ELBOTerms(vae, x, samples, noise, c)


def log_weights(vae: VAE, x: Tensor, samples: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
    """Return log importance weights, log w = log p(x|z) + log p(z) − log q(z|x) for z ~ q(z|x); E[w] = p(x).

    Args:
        vae: the model.
        x: images, (batch, channels, height, width).
        samples: draws of z per image.
        noise: where ε comes from; None for torch's global generator.
        c: labels, (batch,), of a conditional VAE.

    Returns:
        Nats, (samples, batch).
    """
    return ELBOTerms(vae, x, samples, noise, c).log_w


def iwae_bound(log_w: Tensor) -> Tensor:
    """Return the importance-weighted bound log (1/k) Σ_i w_i, (batch,) (Burda et al. 2016, section 3); it tends to log p(x)."""
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])
