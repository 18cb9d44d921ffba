"""`traversals`: what each latent dimension does to an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import check_int, check_number
from vae_lightning.plots.pictures.base import FURTHEST, MOST_IN_A_ROW, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class TraversalsPicture(Picture):
    """One latent dimension moved at a time, those with the most KL first.

    Args:
        image: index in the split of the image that the traversals pass through.
        reach: how far to move to either side.
        columns: steps.
    """

    image: int = 0
    reach: float = 3.0
    columns: int = 11

    name = "traversals"
    needs_real_space = True

    def __post_init__(self) -> None:
        check_int("image", self.image, 0)
        check_number("reach", self.reach, 0, FURTHEST, above=True)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.images import traversals

        x, c = context.first(1, self.image)
        return traversals(context.vae, x[0], context.kl, self.reach, self.columns, c=c)
