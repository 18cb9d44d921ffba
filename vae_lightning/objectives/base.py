"""What the four parts of an objective have in common."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar, Required, TypedDict

from torch import nn

from vae_lightning.capabilities import require
from vae_lightning.models.vae import VAE


class OptimizerGroup(TypedDict, total=False):
    """Parameters with their own settings, as torch's optimizers take them."""

    params: Required[list[nn.Parameter]]
    lr: float


class ObjectiveTerm(nn.Module):
    """A bound, a gradient estimator, a KL term or a penalty.

    Attributes:
        option: its name on the command line, such as `objective/bound=iwae`.
        needs: what it requires of both posterior and prior (see `vae_lightning.capabilities`).
        posterior_needs: what it requires of the posterior alone.
    """

    option: ClassVar[str]
    needs: ClassVar[AbstractSet[str]] = frozenset()
    posterior_needs: ClassVar[AbstractSet[str]] = frozenset()

    def check(self, vae: VAE) -> None:
        """Raise UserError if this VAE's posterior or prior lacks what is needed."""
        require(self, self.needs, vae.posterior, vae.latent_prior)
        require(self, self.posterior_needs, vae.posterior)

    def set_train_size(self, train_size: int) -> None:
        """Take the number of training images, once before training."""

    def parameter_groups(self) -> list[OptimizerGroup]:
        """Return own parameters that need their own optimizer settings, in torch's form: [{params, lr}]."""
        return []
