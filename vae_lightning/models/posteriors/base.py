"""The base class of posteriors."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

from torch import Tensor, nn

from vae_lightning.capabilities import EVERYTHING
from vae_lightning.errors import InvalidValue
from vae_lightning.models.distributions.base import LatentDistribution


class Posterior(nn.Module):
    """q_φ(z|x) over latents z of `latent_dim` numbers, from the encoder's `features`.

    Attributes:
        option: its name on the command line, such as `posterior=diagonal`.
        capabilities: what it can do (see `vae_lightning.capabilities`).
        space: where z lives ("real", "sphere", "categorical" …); the prior has to live there too.
        latent_dim: how many numbers z has; C·h·w on a grid.
        grid: (h, w) if z is a grid of C channels, flattened channel by channel; None for a vector.
    """

    option: ClassVar[str]
    capabilities: AbstractSet[str] = EVERYTHING
    space: str = "real"
    latent_dim: int
    grid: tuple[int, int] | None = None

    @property
    def features(self) -> int:
        """How many numbers the encoder must produce for each image."""
        raise NotImplementedError

    @property
    def decoder_dim(self) -> int:
        """Number of leading entries of z that the decoder sees; all of z with a single layer."""
        return self.latent_dim

    def forward(self, features: Tensor) -> LatentDistribution:
        """(batch, features) → q(z|x), batch_shape (batch,), event_shape (latent_dim,)."""
        raise NotImplementedError


LARGEST_GRID = 4096


def check_grid_sizes(grid: Sequence[int] | None) -> tuple[int, int] | None:
    """Return a setting `grid` as (h, w); None for a vector.

    Raises:
        InvalidValue: it is neither null nor two numbers from 1 to LARGEST_GRID.
    """
    if grid is None:
        return None
    two = isinstance(grid, Sequence) and not isinstance(grid, str) and len(grid) == 2
    if not two or not all(type(n) is int and 1 <= n <= LARGEST_GRID for n in grid):
        raise InvalidValue(
            "grid", grid, f"null, or [height,width] of 1 to {LARGEST_GRID}, such as [7,7] (on the command line also auto)"
        )
    return grid[0], grid[1]


def sites(grid: tuple[int, int] | None) -> int:
    """Return h·w, the number of sites; 1 for a vector."""
    return 1 if grid is None else grid[0] * grid[1]
