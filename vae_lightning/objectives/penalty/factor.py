"""`objective/penalty=factor`: the total correlation of the codes, estimated by a discriminator (Kim and Mnih 2018, FactorVAE)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import InvalidValue, check_int, check_ints, check_number
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise
from vae_lightning.objectives.base import OptimizerGroup
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms


class FactorVAEPenalty(Penalty):
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
    posterior_needs = frozenset({REAL_SPACE})

    def __init__(
        self, latent_dim: int, gamma: float = 10.0, hidden: Sequence[int] = (256, 256, 256), lr: float | None = None
    ) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0)
        self.lr = None if lr is None else check_number("lr", lr, 0)
        self.latent_dim = check_int("latent_dim", latent_dim)
        self.discriminator = discriminator(latent_dim, check_ints("hidden", hidden))

    def check(self, vae: VAE) -> None:
        """Raise UserError also if `latent_dim` is not the VAE's."""
        super().check(vae)
        if vae.latent_dim != self.latent_dim:
            raise InvalidValue("objective.penalty.latent_dim", self.latent_dim, f"that of z, which is {vae.latent_dim}")

    def parameter_groups(self) -> list[OptimizerGroup]:
        """D's parameters, if D has its own learning rate."""
        return [] if self.lr is None else [{"params": list(self.discriminator.parameters()), "lr": self.lr}]

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        z = terms.z[0].float()
        constants = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        tc = functional_call(self.discriminator, constants, (z,)).mean()
        codes = z.detach()
        logits = self.discriminator(torch.cat([codes, permuted(codes, noise)]))
        cross_entropy = F.binary_cross_entropy_with_logits(logits.float(), are_codes(len(codes), logits))
        return self.gamma * tc + cross_entropy, {"total_correlation": tc, "discriminator_loss": cross_entropy}


def discriminator(latent_dim: int, hidden: Sequence[int]) -> nn.Sequential:
    """Return a network from z, (batch, latent_dim), to the logit of D(z), (batch,)."""
    widths = [latent_dim, *hidden]
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


def permuted(z: Tensor, noise: Noise | None) -> Tensor:
    """z, (batch, latent_dim), with each dimension shuffled independently over the batch (Kim and Mnih 2018, algorithm 1)."""
    u = noise.uniform(z) if noise else torch.rand_like(z)
    return z.gather(0, u.argsort(0))


def are_codes(batch: int, like: Tensor) -> Tensor:
    """Targets of the discriminator: 1 for each code of the batch, then 0 for each permuted one."""
    return torch.cat([torch.ones(batch, device=like.device), torch.zeros(batch, device=like.device)])
