"""The base class of conditions: how a label c enters the encoder, the decoder and the prior."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class Condition(nn.Module):
    """How labels c, int64 (batch,), enter a VAE: the architecture sees them as extra channels and extra latents.

    Attributes:
        extra_channels: channels that `encoder_input` adds to x.
        extra_latents: numbers that `decoder_input` adds to z.
        classes: number of classes; 0 for an unconditional VAE.

    Args:
        classes: number of classes in the data; None if the data have no labels.
    """

    option: ClassVar[str]
    extra_channels: int = 0
    extra_latents: int = 0
    classes: int = 0

    def __init__(self, classes: int | None = None) -> None:
        super().__init__()

    def set_up(self, shape: tuple[int, int, int], posterior: Posterior, prior: Prior) -> None:
        """Adapt to the rest of the VAE, which calls this once.

        Args:
            shape: the images' (channels, height, width).
            posterior: the posterior.
            prior: the prior.

        Raises:
            UserError: the condition is incompatible with them.
        """

    def encoder_input(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Return what the encoder sees: (batch, channels + extra_channels, height, width)."""
        raise NotImplementedError

    def unlabelled_encoder_input(self, x: Tensor) -> Tensor:
        """Return what the encoder sees of an image without a label: a pseudo-input of a prior."""
        return x

    def decoder_input(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Return what the decoder sees: (..., batch, latent_dim + extra_latents)."""
        raise NotImplementedError

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        """p(z|c) made from p(z): batch_shape (batch,), or () if it does not depend on c."""
        raise NotImplementedError

    def shift_latents(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Map z from p(z) to p(z|c)."""
        return z

    def labels_for(self, c: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        """Return the labels of n samples on `device`: c, or the classes in turn if c is None; None for an unconditional VAE.

        Args:
            c: labels, (n,), or None.
            n: number of samples.
            device: where the labels go.

        Returns:
            Labels, int64 (n,), or None for an unconditional VAE.
        """
        return torch.arange(n, device=device) % self.classes if self.classes else None
