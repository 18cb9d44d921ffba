"""`model=conv`: strided convolutions in the encoder, transposed convolutions in the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from vae_lightning.errors import check_int, check_ints
from vae_lightning.models.architectures.layers import (
    activation,
    check_activation,
    fully_connected,
    halved_sizes,
    output_padding,
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
        layers: list[nn.Module] = []
        for outputs in self.channels:
            layers += [
                nn.Conv2d(inputs, self._width_before(outputs), self.kernel, stride=2, padding=self.padding),
                activation(self.activation),
            ]
            inputs = outputs
        layers += [nn.Flatten(), *fully_connected(inputs * prod(smallest), self.hidden, self.activation)]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """Fully connected layers, then transposed convolutions: (batch, latent_dim) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels), self.kernel)[::-1]
        first = (self._width_before(self.channels[-1]), *sizes[0])
        layers = fully_connected(latent_dim, self.hidden[::-1], self.activation)
        layers += [nn.Linear(self.hidden[0], prod(first)), nn.Unflatten(1, first)]
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
        return nn.Sequential(*layers)

    def _width_before(self, width: int) -> int:
        return pre_activation_width(self.activation, width)
