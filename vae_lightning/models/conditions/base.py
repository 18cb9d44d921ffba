"""Where a condition c enters: beside the image, beside the latents, and into the prior."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class Condition(nn.Module):
    """A model of x given c. c is int64 (batch,); an architecture sees it as more channels and more latents.

    `channels`: how many `image` adds to x; `latents`: how many numbers `latent` adds to z; `classes`: the values of c, of which
    the data have so many (None: the data have no labels).
    """

    option: ClassVar[str]
    channels: int = 0
    latents: int = 0
    classes: int = 0

    def __init__(self, classes: int | None = None) -> None:
        super().__init__()

    def begin(self, shape: tuple[int, int, int], posterior: Posterior, prior: Prior) -> None:
        """Told by the VAE, once, what it will meet: images of `shape`, the posterior and the prior. UserError where it cannot."""

    def image(self, x: Tensor, c: Tensor | None) -> Tensor:
        """What the encoder sees: (batch, C + channels, H, W)."""
        raise NotImplementedError

    def unlabelled(self, x: Tensor) -> Tensor:
        """What the encoder sees of an image that has no label and no place in a batch: a pseudo-input of a prior."""
        return x

    def latent(self, z: Tensor, c: Tensor | None) -> Tensor:
        """What the decoder sees: (..., batch, latent_dim + latents)."""
        raise NotImplementedError

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        """p(z|c) made from p(z): batch_shape (batch,), or () where it does not depend on c."""
        raise NotImplementedError

    def moved(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Where a z of p(z) lies in p(z|c)."""
        return z

    def given(self, c: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        """c for n samples, on `device`: where none was given, the classes in turn; None where there is no condition."""
        return torch.arange(n, device=device) % self.classes if self.classes else None
