"""The base class of posteriors."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from torch import Tensor, nn

from vae_lightning.capabilities import EVERYTHING
from vae_lightning.models.distributions.base import LatentDistribution


class Posterior(nn.Module):
    """q_φ(z|x) over latents z of `latent_dim` numbers, from the encoder's `features`.

    Attributes:
        option: its name on the command line, such as `posterior=diagonal`.
        capabilities: what it can do (see `vae_lightning.capabilities`).
        space: where z lives ("real", "sphere", "categorical" …); the prior has to live there too.
        latent_dim: how many numbers z has.
    """

    option: ClassVar[str]
    capabilities: AbstractSet[str] = EVERYTHING
    space: str = "real"
    latent_dim: int

    @property
    def features(self) -> int:
        """How many numbers the encoder must produce for each image."""
        raise NotImplementedError

    @property
    def decoder_dim(self) -> int:
        """Number of leading entries of z that the decoder sees; all of z with a single layer."""
        return self.latent_dim

    def forward(self, features: Tensor) -> LatentDistribution:
        """(batch, features) → q(z|x), batch_shape (batch,), event_shape (latent_dim,)."""
        raise NotImplementedError
