"""`samples`: decoded draws from the prior."""

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
class SamplesPicture(Picture):
    """Samples from the prior.

    Args:
        rows: None: 8, or one for each class of a condition.
        columns: samples in a row.
        label: the class of all samples; None: a row for each class in turn.
    """

    rows: int | None = None
    columns: int = 12
    label: int | None = None

    name = "samples"
    sized_by = ("rows", "columns")

    def __post_init__(self) -> None:
        check_int_or_null("rows", self.rows, 1, MOST_IN_A_ROW)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)
        check_int_or_null("label", self.label, 0)

    def images(self, vae: VAE) -> int:
        return (self.rows or vae.condition.classes or 8) * self.columns

    def check(self, vae: VAE) -> None:
        super().check(vae)
        check_label(self.name, self.label, vae)

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.images import samples

        return samples(context.vae, self.rows, self.columns, context.seed, self.label)
