"""What a picture is. Imports no torch, so that a bad setting is reported at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.models.vae import VAE
    from vae_lightning.plots.context import PictureContext

MOST_IMAGES, MOST_IN_A_ROW = 100_000, 300  # of a picture
MOST_PIXELS = 2**24  # of a picture, with colours: 20,000 images of MNIST, drawn in some seconds with 1 GB
FURTHEST = 1000.0  # standard deviations of the prior: networks overflow far beyond it


@dataclass(frozen=True)
class Picture(ABC):
    """A picture of a VAE. A subclass is a dataclass whose fields are its settings.

    Attributes:
        name: its name, of its file too, and the key of its settings in `conf/generate.yaml`.
        needs_real_space: whether it moves along straight lines, which latents on a sphere or one-hot vectors do not allow.
        needs_two_dimensions: whether it shows a two-dimensional latent space.
        needs_kl: whether it shows the KL of each dimension.
        in_training: whether it is drawn during training.
        in_generate: whether `generate.py` can draw it.
        sized_by: the settings that decide how many images it is made of.
    """

    name: ClassVar[str]
    needs_real_space: ClassVar[bool] = False
    needs_two_dimensions: ClassVar[bool] = False
    needs_kl: ClassVar[bool] = False
    in_training: ClassVar[bool] = True
    in_generate: ClassVar[bool] = True
    sized_by: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def draw(self, context: PictureContext) -> Figure:
        """Draw the picture.

        Raises:
            UserError: there are not enough images.
        """

    def save(self, context: PictureContext, folder: Path) -> Path:
        """Draw the picture, write `<name>.png` to the folder and return its path; raise what `draw` raises."""
        from vae_lightning.plots.images import save_png, to_array

        return save_png(to_array(self.draw(context)), folder / f"{self.name}.png")

    @classmethod
    def fits(cls, vae: VAE) -> bool:
        """Whether the picture can be drawn of this VAE."""
        real = REAL_SPACE in vae.posterior.capabilities
        return (real or not cls.needs_real_space) and (vae.latent_prior.top_dim == 2 or not cls.needs_two_dimensions)

    def applies_to(self, context: PictureContext) -> bool:
        """Whether the picture is drawn when generate.py is not told what to draw."""
        return self.fits(context.vae)

    def check(self, vae: VAE) -> None:
        """Raise UserError, naming what is missing, unless the picture with these settings can be drawn of this VAE."""
        if self.needs_real_space and REAL_SPACE not in vae.posterior.capabilities:
            raise UserError(f"what={self.name} is incompatible with {vae.posterior.option}: it needs {REAL_SPACE}.")
        if self.needs_two_dimensions and vae.latent_prior.top_dim != 2:
            dim = vae.latent_prior.top_dim
            has = f"latent_dim={dim}" if vae.posterior.grid is None else f"a code of {dim} numbers on a grid"
            raise UserError(f"what={self.name} draws a two-dimensional latent space, and this run has {has}.")
        images, shape = self.images(vae), "×".join(map(str, vae.shape))
        if images * prod(vae.shape) > MOST_PIXELS:
            most = max(1, MOST_PIXELS // prod(vae.shape))
            set_by = " and ".join(f"{self.name}.{name}" for name in self.sized_by)
            raise UserError(f"{set_by}: make a picture of {images:,} images of {shape} pixels, and at most {most:,} are drawn.")

    def images(self, vae: VAE) -> int:
        """How many images the picture is made of, at most; 0 if there are always few."""
        return 0


def check_label(name: str, label: int | None, vae: VAE) -> None:
    """Check that the VAE's condition has a label.

    Args:
        name: the name of the picture, for the message.
        label: the label; None is always allowed.
        vae: the model.

    Raises:
        UserError: the condition does not have this label.
    """
    condition = vae.condition
    if label is not None and not condition.classes:
        raise UserError(f"{name}.label={label} would have no effect: this run has {condition.option}; leave it out.")
    if label is not None and label >= condition.classes:
        raise UserError(f"{name}.label={label}: must be one of the classes 0 to {condition.classes - 1}.")
