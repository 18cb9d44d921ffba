"""`model=unet_kl`: the first-stage networks of latent diffusion, with residual blocks, group norm and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from vae_lightning.errors import MOST_LAYERS, InvalidValue, check_bool, check_int, check_ints
from vae_lightning.models.architectures.layers import divided_sizes, halved_sizes

EPSILON = 1e-6  # of group norm, as in the authors' code


class UNetKL:
    """The encoder and decoder of latent diffusion's autoencoder (Rombach et al. 2022, appendix G; Esser et al. 2021).

    Each level has residual blocks and halves the image; at the lowest resolution there are a residual block, self-attention and
    another residual block. The decoder mirrors this with nearest-neighbour upsampling. There are no skip connections from the
    encoder to the decoder. Group norm sees one image at a time, so an image's density does not depend on its batch. The
    authors' last level does not halve the image; here each does, as in `conv` and `resnet`.

    With `posterior.grid` the code is the lowest resolution's map; without it, one fully connected layer is between.

    Args:
        channels: channels of each level.
        blocks: residual blocks per level of the encoder; the decoder has one more, as the authors' has.
        groups: groups of each group norm, a divisor of all `channels`.
        attention: whether there is self-attention at the lowest resolution.
    """

    def __init__(self, channels: Sequence[int] = (32, 64), blocks: int = 1, groups: int = 8, attention: bool = True) -> None:
        self.channels = check_ints("channels", channels)
        self.blocks = check_int("blocks", blocks, 1, MOST_LAYERS)
        self.groups, self.attention = check_int("groups", groups), check_bool("attention", attention)
        if any(width % groups for width in self.channels):
            raise InvalidValue("groups", groups, f"a divisor of each of model.channels, {list(self.channels)}")

    def encoder(self, image_shape: tuple[int, int, int], features: int) -> nn.Module:
        """(batch, *image_shape) → (batch, features)."""
        inputs, height, width = image_shape
        smallest = halved_sizes(height, width, len(self.channels))[-1]
        return nn.Sequential(*self._down(inputs), nn.Flatten(), nn.Linear(self.channels[-1] * prod(smallest), features))

    def decoder(self, latent_dim: int, out_shape: tuple[int, int, int]) -> nn.Module:
        """(batch, latent_dim) → (batch, *out_shape)."""
        outputs, height, width = out_shape
        sizes = halved_sizes(height, width, len(self.channels))[::-1]
        first = (self.channels[-1], *sizes[0])
        return nn.Sequential(nn.Linear(latent_dim, prod(first)), nn.Unflatten(1, first), *self._up(outputs, sizes))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the size after all levels; raise UserError unless each halves it without a remainder."""
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
        layers: list[nn.Module] = [nn.Conv2d(inputs, self.channels[0], 3, padding=1)]
        before = self.channels[0]
        for width in self.channels:
            layers += self._stage(before, width, self.blocks)
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1)]
            before = width
        return [*layers, *self._middle(), nn.GroupNorm(self.groups, before, EPSILON), nn.SiLU()]

    def _up(self, outputs: int, sizes: Sequence[tuple[int, int]]) -> list[nn.Module]:
        layers, before = self._middle(), self.channels[-1]
        for width, size in zip(self.channels[::-1], sizes[1:], strict=True):
            layers += self._stage(before, width, self.blocks + 1)
            layers += [nn.Upsample(size=size, mode="nearest"), nn.Conv2d(width, width, 3, padding=1)]
            before = width
        return [*layers, nn.GroupNorm(self.groups, before, EPSILON), nn.SiLU(), nn.Conv2d(before, outputs, 3, padding=1)]

    def _stage(self, inputs: int, outputs: int, blocks: int) -> list[nn.Module]:
        return [NormedBlock(inputs if i == 0 else outputs, outputs, self.groups) for i in range(blocks)]

    def _middle(self) -> list[nn.Module]:
        """Residual block, attention, residual block at the lowest resolution."""
        width = self.channels[-1]
        attention = [Attention(width, self.groups)] if self.attention else []
        return [NormedBlock(width, width, self.groups), *attention, NormedBlock(width, width, self.groups)]


class NormedBlock(nn.Module):
    """shortcut(x) + conv(silu(norm(conv(silu(norm(x)))))); the shortcut is a 1×1 convolution if the channels change."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.GroupNorm(groups, inputs, EPSILON),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs, EPSILON),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


class Attention(nn.Module):
    """x + W_o softmax(Q Kᵀ/√d) V, with queries, keys and values of all sites from 1×1 convolutions of norm(x); one head."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, EPSILON)
        self.queries_keys_values, self.output = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, -1)
        weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(x.shape[1]), -1)
        return x + self.output((weights @ value).transpose(1, 2).reshape(x.shape))
