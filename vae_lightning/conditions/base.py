"""Where a condition c enters: beside the image, beside the latents, and into the prior."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vae_lightning.distributions import LatentDistribution


class Condition(nn.Module):
    """A model of x given c. c is int64 (batch,); an architecture sees it as more channels and more latents.

    `channels`: how many `image` adds to x; `latents`: how many numbers `latent` adds to z; `classes`: the values of c.
    """

    option: ClassVar[str]
    channels: int = 0
    latents: int = 0
    classes: int = 0

    def image(self, x: Tensor, c: Tensor | None) -> Tensor:
        """What the encoder sees: (batch, C + channels, H, W)."""
        raise NotImplementedError

    def latent(self, z: Tensor, c: Tensor | None) -> Tensor:
        """What the decoder sees: (..., batch, latent_dim + latents)."""
        raise NotImplementedError

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        """p(z|c) made from p(z): batch_shape (batch,), or () where it does not depend on c."""
        raise NotImplementedError

    def in_turn(self, n: int) -> Tensor | None:
        """c for n samples where none was given: the classes in turn; None where there is no condition."""
        return torch.arange(n) % self.classes if self.classes else None
