"""`model=resnet`: residual blocks, with strided convolutions down and nearest-neighbour upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from vae_lightning.errors import MOST_LAYERS, check_int, check_ints
from vae_lightning.models.architectures.layers import activation, check_activation, divided_sizes, halved_sizes


class ResNet:
    """Stages of pre-activation residual blocks (He et al. 2016); each stage halves the image.

    Works for any image size and channel count. There is no batch normalisation, so an image's density does not depend on its
    batch.

    Args:
        channels: channels of each stage.
        blocks: residual blocks per stage.
        activation: a name in `layers.ACTIVATIONS`.
    """

    def __init__(self, channels: Sequence[int] = (32, 64), blocks: int = 1, activation: str = "silu") -> None:
        self.channels = check_ints("channels", channels)
        self.blocks = check_int("blocks", blocks, 1, MOST_LAYERS)
        self.activation = check_activation(activation)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """(batch, *image_shape) → (batch, features)."""
        inputs, height, width = image_shape
        height, width = halved_sizes(height, width, len(self.channels))[-1]
        return nn.Sequential(*self._down(inputs), nn.Flatten(), nn.Linear(self.channels[-1] * height * width, features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """(batch, latent_dim) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels))[::-1]
        first = (self.channels[-1], *sizes[0])
        return nn.Sequential(nn.Linear(latent_dim, prod(first)), nn.Unflatten(1, first), *self._up(outputs, sizes))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the size after all stages; raise UserError unless each halves it without a remainder."""
        return divided_sizes(height, width, len(self.channels))[-1]

    def grid_encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """(batch, *image_shape) → (batch, features, h, w)."""
        return nn.Sequential(*self._down(image_shape[0]), nn.Conv2d(self.channels[-1], features, 1))

    def grid_decoder(self, latent_channels: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """(batch, latent_channels, h, w) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = divided_sizes(height, width, len(self.channels))[::-1]
        return nn.Sequential(nn.Conv2d(latent_channels, self.channels[-1], 1), *self._up(outputs, sizes))

    def _down(self, inputs: int) -> list[nn.Module]:
        """Return the stages of the encoder, each of which halves the image."""
        layers: list[nn.Module] = []
        for outputs in self.channels:
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), *self._stage(outputs)]
            inputs = outputs
        return [*layers, activation(self.activation)]

    def _up(self, outputs: int, sizes: Sequence[tuple[int, int]]) -> list[nn.Module]:
        """Return the stages of the decoder, from the smallest of `sizes` to the largest."""
        layers: list[nn.Module] = []
        widths = [*self.channels[::-1], self.channels[0]]
        for i, size in enumerate(sizes[1:]):
            layers += [*self._stage(widths[i]), nn.Upsample(size=size, mode="nearest")]
            layers += [nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)]
        return [*layers, activation(self.activation), nn.Conv2d(widths[-1], outputs, 3, padding=1)]

    def _stage(self, channels: int) -> list[nn.Module]:
        return [ResidualBlock(channels, self.activation) for _ in range(self.blocks)]


class ResidualBlock(nn.Module):
    """A residual block x + conv(act(conv(act(x)))) of 3×3 convolutions; channels and size stay the same."""

    def __init__(self, channels: int, activation_name: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            activation(activation_name),
            nn.Conv2d(channels, channels, 3, padding=1),
            activation(activation_name),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)
