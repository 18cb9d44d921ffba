"""What penalties with a discriminator D share: the network, its learning rate, and the labels that it is trained with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import InvalidValue, check_int, check_ints, check_number
from vae_lightning.models.vae import VAE
from vae_lightning.objectives.base import OptimizerGroup
from vae_lightning.objectives.penalty.base import Penalty


class DiscriminatorPenalty(Penalty):
    """A penalty on codes z with a network D that tells them from other points. VAE and D are trained in one backward pass.

    Args:
        latent_dim: the number of latent dimensions.
        hidden: widths of D's hidden layers.
        lr: D's learning rate; None for the optimizer's.
    """

    posterior_needs = frozenset({REAL_SPACE})

    def __init__(self, latent_dim: int, hidden: Sequence[int], lr: float | None) -> None:
        super().__init__()
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

    def constant_logit(self, z: Tensor) -> Tensor:
        """Return the logit of D(z), (batch,), whose gradient goes to z and not to D's weights."""
        constants = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        logit: Tensor = functional_call(self.discriminator, constants, (z,))
        return logit


def discriminator(latent_dim: int, hidden: Sequence[int]) -> nn.Sequential:
    """Return a network from z, (batch, latent_dim), to the logit of D(z), (batch,)."""
    widths = [latent_dim, *hidden]
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


def are_codes(batch: int, like: Tensor) -> Tensor:
    """Targets of the discriminator: 1 for each code of the batch, then 0 for each other point."""
    return torch.cat([torch.ones(batch, device=like.device), torch.zeros(batch, device=like.device)])
