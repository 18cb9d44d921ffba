"""`model=mlp`: fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from vae_lightning.architectures.layers import check_activation, connected
from vae_lightning.errors import check_ints


class MLP:
    """x → hidden[0] → hidden[1] → … → features; the decoder has the same widths in reverse (Kingma and Welling 2014, app. C).

    `activation=gated`: hidden units h = (W x + b) ⊙ sigmoid(V x + c) (Dauphin et al. 2017; Tomczak and Welling 2018 use them).
    """

    def __init__(self, hidden: Sequence[int] = (512, 256), activation: str = "gelu") -> None:
        self.hidden = check_ints("hidden", hidden)
        self.activation = check_activation(activation, gated=True)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        layers = connected(prod(image_shape), self.hidden, self.activation)
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(self.hidden[-1], features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        layers = connected(latent_dim, self.hidden[::-1], self.activation)
        return nn.Sequential(*layers, nn.Linear(self.hidden[0], prod(out_shape)), nn.Unflatten(1, out_shape))
