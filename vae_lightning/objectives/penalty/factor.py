"""`objective/penalty=factor`: the total correlation of the codes, estimated by a discriminator (Kim and Mnih 2018, FactorVAE)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_lightning.errors import check_number
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.discriminator import DiscriminatorPenalty, are_codes
from vae_lightning.objectives.terms import ELBOTerms


class FactorVAEPenalty(DiscriminatorPenalty):
    """γ·E_q(z)[log D(z)/(1 − D(z))] ≈ γ·TC (Kim and Mnih 2018, eq. 2 and 3), plus the cross entropy that trains D.

    The discriminator D distinguishes codes z ~ q(z) from z' ~ Π_d q(z_d), the batch's codes with each dimension shuffled over the
    batch; its logit is the log of the density ratio. VAE and D are trained in one backward pass: the penalty treats D's weights
    as constants, the cross entropy treats the codes as constants. Logs `total_correlation` (nats) and `discriminator_loss` (log
    2 if D cannot tell them apart).

    Args:
        latent_dim: the number of latent dimensions.
        gamma: γ.
        hidden: widths of D's hidden layers.
        lr: D's learning rate; None for the optimizer's.
    """

    option = "objective/penalty=factor"

    def __init__(
        self, latent_dim: int, gamma: float = 10.0, hidden: Sequence[int] = (256, 256, 256), lr: float | None = None
    ) -> None:
        super().__init__(latent_dim, hidden, lr)
        self.gamma = check_number("gamma", gamma, 0)

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        z = terms.z[0].float()
        tc = self.constant_logit(z).mean()
        codes = z.detach()
        logits = self.discriminator(torch.cat([codes, permuted(codes, noise)]))
        cross_entropy = F.binary_cross_entropy_with_logits(logits.float(), are_codes(len(codes), logits))
        return self.gamma * tc + cross_entropy, {"total_correlation": tc, "discriminator_loss": cross_entropy}


def permuted(z: Tensor, noise: Noise | None) -> Tensor:
    """z, (batch, latent_dim), with each dimension shuffled independently over the batch (Kim and Mnih 2018, algorithm 1)."""
    u = noise.uniform(z) if noise else torch.rand_like(z)
    return z.gather(0, u.argsort(0))
