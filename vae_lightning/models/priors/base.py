"""What every prior says of itself."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import ClassVar

from torch import Tensor, nn

from vae_lightning.capabilities import EVERYTHING
from vae_lightning.models.distributions.base import LatentDistribution

Encode = Callable[[Tensor], LatentDistribution]
ANY = "any space"


class Prior(nn.Module):
    """p(z) over latents of `latent_dim` numbers in `space` (see `Posterior`; ANY: wherever the posterior's are).

    `needs`: what it cannot do without in a posterior (see `vae_lightning.capabilities`). A constructor that takes `shape`, `mean`
    or `numbers` is given the images' shape and mean (`DataSpec`) and how many numbers a code of the posterior has.
    """

    option: ClassVar[str]
    capabilities: AbstractSet[str] = EVERYTHING
    needs: AbstractSet[str] = frozenset()
    space: str = "real"
    latent_dim: int

    @property
    def top_dim(self) -> int:
        """How many numbers of z, the last ones, depend on no others: all, unless there are layers below the top one."""
        return self.latent_dim

    def with_lower_layers(self, top: Tensor) -> Tensor:
        """The whole of z, (..., latent_dim), where its last numbers are `top`, (..., top_dim): layers below at their means."""
        return top

    def start(self, images: Tensor) -> None:
        """Told the training images, uint8 (N, C, H, W), once before a new run's training; most priors pass over them."""

    def forward(self, encode: Encode | None = None) -> LatentDistribution:
        """p(z), batch_shape (), event_shape (latent_dim,).

        encode: images → q(z|x), for priors made of posteriors; handed over at each call, since a prior that held the encoder
        would own its weights a second time.
        """
        raise NotImplementedError
