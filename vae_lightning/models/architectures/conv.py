"""`model=conv`: strided convolutions in the encoder, transposed convolutions in the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from vae_lightning.errors import check_int, check_ints
from vae_lightning.models.architectures.layers import (
    activation,
    check_activation,
    divided_sizes,
    fully_connected,
    halved_sizes,
    output_padding,
    pointwise,
    pre_activation_width,
)


class Conv:
    """Convolutions with stride 2, each halving height and width, then fully connected layers; the decoder mirrors the encoder.

    Works for any image size and channel count: sizes are inferred, and the decoder reproduces each of them. The network of Kim
    and Mnih (2018) and Locatello et al. (2019) for 64×64 images is channels=[32,32,64,64], kernel=4, activation=relu; that of
    Burgess et al. (2018) is channels=[32,32,32,32], hidden=[256,256].

    Args:
        channels: output channels of each convolution.
        hidden: width of the fully connected layer, or a list of widths.
        activation: a name in `layers.ACTIVATIONS`, or "gated": h = (W x + b) ⊙ sigmoid(V x + c) (Dauphin et al. 2017).
        kernel: size of the convolution kernels.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        hidden: int | Sequence[int] = 256,
        activation: str = "gelu",
        kernel: int = 3,
    ) -> None:
        self.channels = check_ints("channels", channels)
        self.hidden = check_ints("hidden", hidden) if isinstance(hidden, Sequence) else (check_int("hidden", hidden),)
        self.kernel = check_int("kernel", kernel, 2)
        self.padding = (self.kernel - 1) // 2
        self.activation = check_activation(activation, gated=True)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """Convolutions, then fully connected layers: (batch, *image_shape) → (batch, features)."""
        inputs, height, width = image_shape
        smallest = halved_sizes(height, width, len(self.channels), self.kernel)[-1]
        connected = fully_connected(self.channels[-1] * prod(smallest), self.hidden, self.activation)
        return nn.Sequential(*self._down(inputs), nn.Flatten(), *connected, nn.Linear(self.hidden[-1], features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """Fully connected layers, then transposed convolutions: (batch, latent_dim) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels), self.kernel)[::-1]
        first = (self._width_before(self.channels[-1]), *sizes[0])
        layers = fully_connected(latent_dim, self.hidden[::-1], self.activation)
        layers += [nn.Linear(self.hidden[0], prod(first)), nn.Unflatten(1, first)]
        return nn.Sequential(*layers, *self._up(outputs, sizes))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the size after all convolutions; raise UserError unless each halves it without a remainder."""
        return divided_sizes(height, width, len(self.channels))[-1]

    def grid_encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """Convolutions, then 1×1 convolutions of the widths `hidden`: (batch, *image_shape) → (batch, features, h, w)."""
        inputs, height, width = image_shape
        halved_sizes(height, width, len(self.channels), self.kernel)
        layers = pointwise(self.channels[-1], self.hidden, self.activation)
        return nn.Sequential(*self._down(inputs), *layers, nn.Conv2d(self.hidden[-1], features, 1))

    def grid_decoder(self, latent_channels: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """1×1 convolutions, then transposed convolutions: (batch, latent_channels, h, w) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels), self.kernel)[::-1]
        layers = pointwise(latent_channels, self.hidden[::-1], self.activation)
        layers += [nn.Conv2d(self.hidden[0], self._width_before(self.channels[-1]), 1)]
        return nn.Sequential(*layers, *self._up(outputs, sizes))

    def _down(self, inputs: int) -> list[nn.Module]:
        """Return convolutions that halve the image once for each of `channels`."""
        layers: list[nn.Module] = []
        for outputs in self.channels:
            layers += [
                nn.Conv2d(inputs, self._width_before(outputs), self.kernel, stride=2, padding=self.padding),
                activation(self.activation),
            ]
            inputs = outputs
        return layers

    def _up(self, outputs: int, sizes: Sequence[tuple[int, int]]) -> list[nn.Module]:
        """Return transposed convolutions from the smallest of `sizes` to the largest."""
        layers: list[nn.Module] = []
        widths = [*self.channels[::-1], outputs]
        for i in range(len(self.channels)):
            last = i == len(self.channels) - 1
            layers += [
                activation(self.activation),
                nn.ConvTranspose2d(
                    widths[i],
                    widths[i + 1] if last else self._width_before(widths[i + 1]),
                    self.kernel,
                    stride=2,
                    padding=self.padding,
                    output_padding=output_padding(sizes[i], sizes[i + 1], self.kernel),
                ),
            ]
        return layers

    def _width_before(self, width: int) -> int:
        return pre_activation_width(self.activation, width)
