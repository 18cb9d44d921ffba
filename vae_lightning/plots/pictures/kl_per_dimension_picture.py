"""`kl_per_dimension`: nats that each latent dimension carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import UserError
from vae_lightning.plots.pictures.base import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class KLPicture(Picture):
    """The KL of each latent dimension, or of each channel of a grid, highest first. It has no settings."""

    name = "kl_per_dimension"
    needs_kl = True
    in_generate = False

    def draw(self, context: PictureContext) -> Figure:
        from vae_lightning.plots.latents import kl_bars

        if context.kl is None:
            raise UserError("kl_per_dimension: the KL of this model does not split into latent dimensions.")
        return kl_bars(context.kl, context.active_units, context.vae.posterior.grid)
