"""Codes on a grid: z has C channels at each of h×w sites, and no layer of the networks connects all sites with all.

Everywhere else a code stays one vector, z flattened from (C, h, w) to C·h·w numbers, channel by channel as `torch.flatten` does
it. So bounds, priors, measures and samplers treat a grid as any other code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vae_lightning.errors import InvalidValue, UserError, format_value
from vae_lightning.models.architectures import Architecture, GridArchitecture

if TYPE_CHECKING:
    from vae_lightning.models.posteriors import Posterior

Grid = tuple[int, int]


def check_grid(architecture: Architecture, posterior: Posterior, image_shape: tuple[int, int, int]) -> None:
    """Raise UserError unless the architecture's networks end and start at the posterior's grid; nothing to check without one.

    Args:
        architecture: builds the networks.
        posterior: with its `grid`.
        image_shape: (channels, height, width).
    """
    grid = posterior.grid
    if grid is None:
        return
    if not isinstance(architecture, GridArchitecture):
        raise no_grid(grid)
    found = architecture.grid(*image_shape[1:])
    if grid != found:
        raise InvalidValue(
            "posterior.grid",
            list(grid),
            f"{format_value(list(found))}, what the model's downsampling makes of an image of {image_shape[1]}×{image_shape[2]}, "
            "or auto (model.channels has an entry for each halving)",
        )


def no_grid(grid: Grid | str) -> UserError:
    """Return the error for an architecture that cannot put codes on a grid."""
    shown = grid if isinstance(grid, str) else format_value(list(grid))
    return UserError(
        f"posterior.grid={shown} is incompatible with this model, which has no grid of codes: choose model=conv, model=resnet "
        "or model=unet_kl."
    )


def build_networks(
    architecture: Architecture, posterior: Posterior, image_shape: Sequence[int], extra_latents: int, out_shape: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the encoder, (batch, *image_shape) → (batch, features), and the decoder, (batch, numbers) → (batch, *out_shape).

    Args:
        architecture: builds the networks.
        posterior: what the encoder's output and the code are.
        image_shape: what the encoder sees, (channels, height, width).
        extra_latents: numbers that the decoder sees after z, the same at each site of a grid.
        out_shape: what the decoder gives, (channels, height, width).
    """
    seen, made = (image_shape[0], image_shape[1], image_shape[2]), (out_shape[0], out_shape[1], out_shape[2])
    if posterior.grid is None:
        encoder = architecture.encoder(seen, posterior.features)
        return encoder, architecture.decoder(posterior.decoder_dim + extra_latents, made)
    assert isinstance(architecture, GridArchitecture)
    sites = posterior.grid[0] * posterior.grid[1]
    channels = posterior.decoder_dim // sites
    encoder = nn.Sequential(architecture.grid_encoder(seen, posterior.features // sites), nn.Flatten())
    decoder = nn.Sequential(
        ToGrid(channels, posterior.grid, extra_latents), architecture.grid_decoder(channels + extra_latents, made)
    )
    return encoder, decoder


class ToGrid(nn.Module):
    """(batch, C·h·w + extra) → (batch, C + extra, h, w): the extra numbers become planes, the same at each site.

    Args:
        channels: C.
        grid: (h, w).
        extra: numbers after the code, such as the one-hot label of a conditional VAE.
    """

    def __init__(self, channels: int, grid: Grid, extra: int = 0) -> None:
        super().__init__()
        self.channels, self.grid, self.extra = channels, grid, extra

    def forward(self, z: Tensor) -> Tensor:
        if not self.extra:
            return z.unflatten(1, (self.channels, *self.grid))
        codes = z[:, : -self.extra].unflatten(1, (self.channels, *self.grid))
        planes = z[:, -self.extra :, None, None].expand(-1, -1, *self.grid)
        return torch.cat([codes, planes], 1)
