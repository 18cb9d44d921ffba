"""`latent_scatter`: the codes of images, coloured by label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import check_int
from vae_lightning.plots.pictures.base import MOST_IMAGES, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class LatentScatterPicture(Picture):
    """The codes of the split, coloured by label.

    Args:
        count: images, at most.
    """

    count: int = 2000

    name = "latent_scatter"

    def __post_init__(self) -> None:
        check_int("count", self.count, 1, MOST_IMAGES)

    def draw(self, context: PictureContext) -> Figure:
        import torch

        from vae_lightning.plots.latents import latent_scatter

        x, c = context.first(min(self.count, len(context.images)))
        with torch.no_grad():
            return latent_scatter(context.vae.encode(x, c).mean, c, context.split, context.class_names)
