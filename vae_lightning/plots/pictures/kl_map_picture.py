"""`kl_map`: where in an image the nats of its code are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.capabilities import KL_PER_DIMENSION
from vae_lightning.errors import UserError, check_int
from vae_lightning.plots.pictures.base import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.models.vae import VAE
    from vae_lightning.plots.context import PictureContext

MOST_COLUMNS = 50


@dataclass(frozen=True)
class KLMapPicture(Picture):
    """The KL of each site of a grid of codes, summed over channels, below the image it belongs to.

    Args:
        count: the largest number of images.
    """

    count: int = 8

    name = "kl_map"

    def __post_init__(self) -> None:
        check_int("count", self.count, 1, MOST_COLUMNS)

    @classmethod
    def fits(cls, vae: VAE) -> bool:
        able = vae.posterior.capabilities & vae.latent_prior.capabilities
        return vae.posterior.grid is not None and KL_PER_DIMENSION in able

    def check(self, vae: VAE) -> None:
        super().check(vae)
        if vae.posterior.grid is None:
            raise UserError("what=kl_map draws a grid of codes, and this run has a vector (posterior.grid=null).")
        if not self.fits(vae):
            both = f"{vae.posterior.option} and {vae.latent_prior.option}"
            raise UserError(f"what=kl_map is incompatible with {both}: it needs {KL_PER_DIMENSION}.")

    def draw(self, context: PictureContext) -> Figure:
        import torch

        from vae_lightning.models.distributions.base import kl_per_dimension
        from vae_lightning.plots.latents import kl_map

        vae = context.vae
        x, c = context.first(min(self.count, len(context.images)))
        with torch.no_grad():
            kl = kl_per_dimension(vae.encode(x, c), vae.prior(c))
        if kl is None:
            raise UserError("kl_map: the KL of this model does not split into the sites of a grid.")
        return kl_map(x, kl.view(-1, *vae.code_shape).sum(1))
