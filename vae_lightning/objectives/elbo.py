"""`objective=elbo`: the evidence lower bound, with its KL weighted by β (Higgins et al. 2017)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from vae_lightning.bounds import elbo_terms
from vae_lightning.errors import check_int
from vae_lightning.noise import Noise
from vae_lightning.vae import VAE


class Losses(NamedTuple):
    """Scalars, means over the batch in nats per image.

    `loss` is what is minimised; `reconstruction` = −E_q[log p(x|z)] and `kl` = KL(q(z|x) ‖ p(z)) are the ELBO's terms at β = 1.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class ELBO(nn.Module):
    """loss = E_q[−log p_θ(x|z)] + β·KL(q_φ(z|x) ‖ p(z)).

    The first term pulls the output to the input, the second the codes to the prior. samples: draws of z per image.
    """

    def __init__(self, samples: int = 1) -> None:
        super().__init__()
        self.samples = check_int("samples", samples)

    def forward(self, vae: VAE, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None) -> Losses:
        terms = elbo_terms(vae, x, noise, self.samples)
        reconstruction, kl = terms.reconstruction.mean(), terms.kl.mean()
        return Losses(reconstruction + beta * kl, reconstruction, kl)
