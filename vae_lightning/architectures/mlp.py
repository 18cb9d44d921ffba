"""`model=mlp`: fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from vae_lightning.architectures.layers import activation, check_activation
from vae_lightning.errors import check_ints


class MLP:
    """x → hidden[0] → hidden[1] → … → features; the decoder has the same widths in reverse (Kingma and Welling 2014, app. C)."""

    def __init__(self, hidden: Sequence[int] = (512, 256), activation: str = "gelu") -> None:
        self.hidden = check_ints("hidden", hidden)
        self.activation = check_activation(activation)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *self._layers(prod(image_shape), self.hidden, features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(*self._layers(latent_dim, self.hidden[::-1], prod(out_shape)), nn.Unflatten(1, out_shape))

    def _layers(self, inputs: int, hidden: tuple[int, ...], outputs: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), activation(self.activation)]
            inputs = width
        return [*layers, nn.Linear(inputs, outputs)]
