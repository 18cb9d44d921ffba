"""What every part of an objective says of itself."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from torch import nn

from vae_lightning.capabilities import require
from vae_lightning.models.vae import VAE


class ObjectiveTerm(nn.Module):
    """One of an objective's four parts: which option it is, and what it needs of posterior and prior (`capabilities`)."""

    option: ClassVar[str]
    needs: ClassVar[AbstractSet[str]] = frozenset()
    needs_of_posterior: ClassVar[AbstractSet[str]] = frozenset()

    def check(self, vae: VAE) -> None:
        """UserError where this VAE's posterior or prior cannot do what is needed."""
        require(self, self.needs, vae.posterior, vae.latent_prior)
        require(self, self.needs_of_posterior, vae.posterior)

    def set_train_size(self, train_size: int) -> None:
        """Told, before training, how many training images there are."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters of its own with other settings than the optimizer's, as torch's optimizers take them: [{params, lr}]."""
        return []
