"""`reconstructions`: images and their reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import InvalidValue, check_int
from vae_lightning.plots.pictures.base import MOST_IMAGES, MOST_IN_A_ROW, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.models.vae import VAE
    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class ReconstructionsPicture(Picture):
    """Images of the split, and under each its reconstruction.

    Args:
        count: images, at most.
        columns: images in a row.
    """

    count: int = 40
    columns: int = 10

    name = "reconstructions"
    sized_by = ("count",)

    def __post_init__(self) -> None:
        check_int("count", self.count, 1, MOST_IMAGES)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)
        if self.count > MOST_IN_A_ROW * self.columns:
            least = -(-self.count // MOST_IN_A_ROW)
            raise InvalidValue("columns", self.columns, f"at least {least} with count={self.count}, for {MOST_IN_A_ROW} rows")

    def images(self, vae: VAE) -> int:
        return 2 * self.count

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.images import reconstructions

        count = min(self.count, len(context.images))
        x, c = context.batch(context.images.evenly_spaced(count)) if context.evenly_spaced else context.first(count)
        return reconstructions(context.vae, x, self.columns, c)
