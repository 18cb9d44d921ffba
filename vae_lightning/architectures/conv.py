"""`model=conv`: strided convolutions down, transposed ones up."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vae_lightning.architectures.layers import activation, check_activation, halvings, output_padding
from vae_lightning.errors import check_int, check_ints


class Conv:
    """One convolution (kernel 3, stride 2) for each of `channels`, each halving height and width, then `hidden` units.

    Any image size and channel count: sizes are inferred, and the decoder meets each on its way back.
    """

    def __init__(self, channels: Sequence[int] = (32, 64), hidden: int = 256, activation: str = "gelu") -> None:
        self.channels = check_ints("channels", channels)
        self.hidden = check_int("hidden", hidden)
        self.activation = check_activation(activation)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        inputs, height, width = image_shape
        height, width = halvings(height, width, len(self.channels))[-1]
        layers: list[nn.Module] = []
        for outputs in self.channels:
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), activation(self.activation)]
            inputs = outputs
        layers += [nn.Flatten(), nn.Linear(inputs * height * width, self.hidden), activation(self.activation)]
        return nn.Sequential(*layers, nn.Linear(self.hidden, features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        outputs, height, width = out_shape
        sizes = halvings(height, width, len(self.channels))[::-1]
        first = (self.channels[-1], *sizes[0])
        layers: list[nn.Module] = [nn.Linear(latent_dim, self.hidden), activation(self.activation)]
        layers += [nn.Linear(self.hidden, first[0] * first[1] * first[2]), nn.Unflatten(1, first)]
        widths = [*self.channels[::-1], outputs]
        for i in range(len(self.channels)):
            padding = output_padding(sizes[i], sizes[i + 1])
            layers += [
                activation(self.activation),
                nn.ConvTranspose2d(widths[i], widths[i + 1], 3, stride=2, padding=1, output_padding=padding),
            ]
        return nn.Sequential(*layers)
