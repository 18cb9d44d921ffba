"""f(x) and g(z): an architecture builds an encoder (images → features) and a decoder (latents → parameters per pixel).

An architecture is any object with two methods, for images of shape (channels, height, width):
`encoder(image_shape, features)` → a module (batch, *image_shape) → (batch, features), and
`decoder(latent_dim, out_shape)` → a module (batch, latent_dim) → (batch, *out_shape). A decoder whose last registered layer with
a bias gives the output (one number per output, or per channel) can begin from the data's mean image (`VAE.start_at`).
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

from vae_lightning.models.architectures.conv import Conv
from vae_lightning.models.architectures.mlp import MLP
from vae_lightning.models.architectures.resnet import ResNet

__all__ = ["MLP", "Architecture", "Conv", "ResNet"]


class Architecture(Protocol):
    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module: ...

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module: ...
