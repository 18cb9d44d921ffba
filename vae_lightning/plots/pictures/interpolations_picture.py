"""`interpolations`: from one image to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import UserError, check_int
from vae_lightning.plots.pictures.base import MOST_IN_A_ROW, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.models.vae import VAE
    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class InterpolationsPicture(Picture):
    """Straight lines in latent space between pairs of images.

    Args:
        rows: pairs, at most.
        columns: steps.
    """

    rows: int = 6
    columns: int = 11

    name = "interpolations"
    sized_by = ("rows", "columns")
    needs_real_space = True
    in_training = False

    def __post_init__(self) -> None:
        check_int("rows", self.rows, 1, MOST_IN_A_ROW)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)

    def images(self, vae: VAE) -> int:
        return self.rows * self.columns

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.images import interpolations

        rows = min(self.rows, len(context.images) // 2)
        if rows == 0:
            raise UserError(f"what=interpolations needs two images, but {context.split} has {len(context.images)}.")
        x, c = context.first(2 * rows)
        return interpolations(context.vae, x[:rows], x[rows:], self.columns, c[:rows], c[rows:])
