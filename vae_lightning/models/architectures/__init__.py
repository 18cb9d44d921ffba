"""Encoder and decoder networks (`model=mlp`, `conv`, `resnet`, `unet_kl`)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from vae_lightning.models.architectures.conv import Conv
from vae_lightning.models.architectures.mlp import MLP
from vae_lightning.models.architectures.resnet import ResNet
from vae_lightning.models.architectures.unet_kl import UNetKL

__all__ = ["MLP", "Architecture", "Conv", "GridArchitecture", "ResNet", "UNetKL"]


@runtime_checkable
class Architecture(Protocol):
    """Any object that builds the two networks, for images of shape (channels, height, width).

    If the decoder's last layer with a bias gives the output (one bias per output, or per channel), training can start from the
    mean training image (`VAE.start_from_mean_image`).
    """

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """Return a network (batch, *image_shape) → (batch, features)."""

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """Return a network (batch, latent_dim) → (batch, *out_shape)."""


@runtime_checkable
class GridArchitecture(Architecture, Protocol):
    """An architecture whose networks can also end and start at a grid of codes (`posterior.grid`)."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid (h, w) of an image's code; raise UserError if the image has none."""

    def grid_encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """Return a network (batch, *image_shape) → (batch, features, h, w)."""

    def grid_decoder(self, latent_channels: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """Return a network (batch, latent_channels, h, w) → (batch, *out_shape)."""
