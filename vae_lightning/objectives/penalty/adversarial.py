"""`objective/penalty=adversarial`: an adversary tells codes from draws of the prior (Makhzani et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_lightning.errors import check_number
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.discriminator import DiscriminatorPenalty, are_codes
from vae_lightning.objectives.terms import ELBOTerms


class AdversarialPenalty(DiscriminatorPenalty):
    """−λ·E_q(z)[log(1 − D(z))], the encoder's part of the game, plus the cross entropy that trains D.

    D tells codes z ~ q(z) from draws u ~ p(z); at its optimum, the logit of D(z) is log q(z)/p(z). The encoder is trained so that
    D takes its codes for draws of the prior: with the non-saturating loss −log(1 − D(z)) of Goodfellow et al. (2014), as in the
    WAE-GAN of Tolstikhin et al. (2018, algorithm 1) and the adversarial auto-encoder of Makhzani et al. (2016). Both keep
    q(z) near p(z) without a density of q(z|x): `posterior=delta` is their deterministic encoder, and with a Gaussian one
    `beta=0` drops the KL. VAE and D are trained in one backward pass: the penalty treats D's weights as constants, the cross
    entropy treats the codes as constants. D sees draws of p(z) as constants too. Logs `prior_log_ratio` = E_q(z)[logit D(z)], an
    estimate of KL(q(z) ‖ p(z)) in nats, and `discriminator_loss` (log 2 if D cannot tell them apart).

    Args:
        latent_dim: the number of latent dimensions.
        weight: λ.
        hidden: widths of D's hidden layers.
        lr: D's learning rate; None for the optimizer's.
    """

    option = "objective/penalty=adversarial"
    matches_prior = True

    def __init__(
        self, latent_dim: int, weight: float = 10.0, hidden: Sequence[int] = (256, 256, 256), lr: float | None = None
    ) -> None:
        super().__init__(latent_dim, hidden, lr)
        self.weight = check_number("weight", weight, 0)

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        z = terms.z[0].float()
        ratio = self.constant_logit(z).float()
        with torch.no_grad():
            u = terms.p.rsample(() if terms.p.batch_shape else (len(z),), noise).float()
        logits = self.discriminator(torch.cat([z.detach(), u])).float()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, are_codes(len(z), logits))
        fooling = F.softplus(ratio).mean()  # −log(1 − D(z))
        return self.weight * fooling + cross_entropy, {
            "prior_log_ratio": ratio.mean(),
            "discriminator_loss": cross_entropy,
        }
