"""`model=mlp`: fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from vae_lightning.errors import check_ints, check_number
from vae_lightning.models.architectures.layers import check_activation, fully_connected


class MLP:
    """Fully connected layers x → hidden[0] → hidden[1] → … → features; the decoder has them in reverse.

    See Kingma and Welling (2014, app. C).

    Args:
        hidden: widths of the encoder's hidden layers.
        activation: a name in `layers.ACTIVATIONS`, or "gated": h = (W x + b) ⊙ sigmoid(V x + c) (Dauphin et al. 2017; used by
            Tomczak and Welling 2018).
        init_std: initialise weights and biases from N(0, init_std²) (Kingma and Welling 2014: 0.1); None for torch's default.
    """

    def __init__(self, hidden: Sequence[int] = (512, 256), activation: str = "gelu", init_std: float | None = None) -> None:
        self.hidden = check_ints("hidden", hidden)
        self.activation = check_activation(activation, gated=True)
        self.init_std = None if init_std is None else check_number("init_std", init_std, 0, above=True)

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """(batch, *image_shape) → (batch, features)."""
        layers = fully_connected(prod(image_shape), self.hidden, self.activation)
        return self._initialised(nn.Sequential(nn.Flatten(), *layers, nn.Linear(self.hidden[-1], features)))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """(batch, latent_dim) → (batch, *out_shape)."""
        layers = fully_connected(latent_dim, self.hidden[::-1], self.activation)
        return self._initialised(nn.Sequential(*layers, nn.Linear(self.hidden[0], prod(out_shape)), nn.Unflatten(1, out_shape)))

    def _initialised(self, network: nn.Sequential) -> nn.Sequential:
        if self.init_std is not None:
            for parameter in network.parameters():
                nn.init.normal_(parameter, std=self.init_std)
        return network
