"""`model=resnet`: residual blocks, with strided convolutions down and nearest-neighbour upsampling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vae_lightning.errors import MOST_LAYERS, check_int, check_ints
from vae_lightning.models.architectures.layers import activation, check_activation, halved_sizes


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
        layers: list[nn.Module] = []
        for outputs in self.channels:
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), *self._stage(outputs)]
            inputs = outputs
        layers += [activation(self.activation), nn.Flatten(), nn.Linear(inputs * height * width, features)]
        return nn.Sequential(*layers)

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """(batch, latent_dim) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels))[::-1]
        first = (self.channels[-1], *sizes[0])
        layers: list[nn.Module] = [nn.Linear(latent_dim, first[0] * first[1] * first[2]), nn.Unflatten(1, first)]
        widths = [*self.channels[::-1], self.channels[0]]
        for i, size in enumerate(sizes[1:]):
            layers += [*self._stage(widths[i]), nn.Upsample(size=size, mode="nearest")]
            layers += [nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)]
        return nn.Sequential(*layers, activation(self.activation), nn.Conv2d(widths[-1], outputs, 3, padding=1))

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
