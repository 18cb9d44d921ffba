"""The base class of priors."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from vae_lightning.capabilities import EVERYTHING
from vae_lightning.models.distributions.base import LatentDistribution

if TYPE_CHECKING:
    from vae_lightning.data.images import Images

Encode = Callable[[Tensor], LatentDistribution]
ANY = "any space"


class Prior(nn.Module):
    """p(z) over latents of `latent_dim` numbers.

    A subclass sets `option`, `latent_dim` and, unless it can do everything, `capabilities`, and implements `forward`, which
    returns p(z) as a `LatentDistribution`. docs/extending.md has an example.

    A constructor that takes `shape`, `mean` or `numbers` is given the images' shape and mean (see `DataSpec`) and how many
    numbers the posterior's code has.

    Attributes:
        option: its name on the command line, such as `prior=vamp`.
        capabilities: what it can do (see `vae_lightning.capabilities`).
        needs: what it requires of the posterior.
        space: where z lives (see `Posterior`), or ANY: wherever the posterior's z lives.
        of_images: whether it is made of images in [0, 1], so that it is not for other data.
        latent_dim: how many numbers z has.
    """

    option: ClassVar[str]
    capabilities: AbstractSet[str] = EVERYTHING
    needs: AbstractSet[str] = frozenset()
    space: str = "real"
    of_images: bool = False
    latent_dim: int

    @property
    def top_dim(self) -> int:
        """Size of the top layer: the last `top_dim` entries of z; all of z with a single layer."""
        return self.latent_dim

    def with_lower_layers(self, top: Tensor) -> Tensor:
        """Complete z, (..., latent_dim), from its top layer (..., top_dim): lower layers are set to their means."""
        return top

    def start(self, images: Images) -> None:
        """Initialise from the training images, once before a new run is trained; most priors ignore them."""

    def forward(self, encode: Encode | None = None) -> LatentDistribution:
        """p(z), batch_shape (), event_shape (latent_dim,).

        Args:
            encode: images → q(z|x), for priors made of posteriors. It is passed at each call, since a prior that held the encoder
                would register its weights a second time.
        """
        raise NotImplementedError
