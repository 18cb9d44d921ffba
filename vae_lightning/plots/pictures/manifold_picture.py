"""`manifold`: the decoded plane of two latent dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import check_int, check_int_or_null
from vae_lightning.plots.pictures.base import MOST_IN_A_ROW, Picture, check_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.models.vae import VAE
    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class ManifoldPicture(Picture):
    """The plane of a two-dimensional latent space, decoded.

    Args:
        side: images in a row and in a column.
        label: the class, with condition=label; None: 0.
    """

    side: int = 20
    label: int | None = None

    name = "manifold"
    sized_by = ("side",)
    needs_real_space = True
    needs_two_dimensions = True

    def __post_init__(self) -> None:
        check_int("side", self.side, 1, MOST_IN_A_ROW)
        check_int_or_null("label", self.label, 0)

    def images(self, vae: VAE) -> int:
        return self.side**2

    def check(self, vae: VAE) -> None:
        super().check(vae)
        check_label(self.name, self.label, vae)

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.images import manifold

        return manifold(context.vae, self.side, self.label)
