"""What every posterior says of itself."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from torch import Tensor, nn

from vae_lightning.capabilities import EVERYTHING
from vae_lightning.models.distributions.base import LatentDistribution


class Posterior(nn.Module):
    """q_φ(z|x) over latents z of `latent_dim` numbers, from the encoder's `features`.

    `space` names where z lives ("real", "sphere", "categorical" …): a prior has to live there too. `capabilities`: see
    `vae_lightning.capabilities`.
    """

    option: ClassVar[str]
    capabilities: AbstractSet[str] = EVERYTHING
    space: str = "real"
    latent_dim: int

    @property
    def features(self) -> int:
        """How many numbers the encoder must produce for an image."""
        raise NotImplementedError

    @property
    def decoder_dim(self) -> int:
        """How many numbers of z, the first ones, the decoder sees: all, unless there are layers above."""
        return self.latent_dim

    def forward(self, features: Tensor) -> LatentDistribution:
        """(batch, features) → q(z|x), batch_shape (batch,), event_shape (latent_dim,)."""
        raise NotImplementedError
