"""Every picture of a VAE by name: `PICTURES` is the one table that training and `generate.py` read.

To add a picture, write a function that returns a matplotlib figure in its own file, and add an entry here. If `generate.py`
offers it, add its settings to `runs/picture_settings.py` and `conf/generate.yaml`, too; otherwise set `in_generate=False`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.data.base import Images, pixels
from vae_lightning.errors import UserError
from vae_lightning.models.vae import VAE
from vae_lightning.plots.images import interpolations, manifold, reconstructions, samples, traversals
from vae_lightning.plots.latents import kl_bars, latent_scatter


class PictureContext:
    """What pictures are drawn from. Images and KL are functions, called only if a picture needs them.

    Args:
        vae: the model, in evaluation mode.
        load_images: returns the split that the pictures show.
        split: the name of that split: "train", "val" or "test".
        load_kl: returns the KL of each latent dimension, in nats per image, or None if it does not split by dimension.
        active_units: number of active latent dimensions; None if undefined.
        seed: of the samples.
        class_names: the names of labels 0, 1 …, if they have any.
    """

    def __init__(
        self,
        vae: VAE,
        load_images: Callable[[], Images],
        split: str = "val",
        load_kl: Callable[[], Sequence[float] | None] = lambda: None,
        active_units: int | None = None,
        seed: int = 0,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.vae, self.split, self.active_units, self.seed, self.class_names = vae, split, active_units, seed, class_names
        self._load_images, self._load_kl = load_images, load_kl

    @cached_property
    def images(self) -> Images:
        """The split that the pictures show."""
        return self._load_images()

    @cached_property
    def kl(self) -> Sequence[float] | None:
        """Nats of each latent dimension, or None."""
        return self._load_kl()

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images x (n, channels, height, width) in [0, 1] and labels (n,) of the split, on the VAE's device."""
        chosen = self.images[indices].to(next(self.vae.parameters()).device)
        return pixels(chosen.images), chosen.labels

    def first(self, count: int, start: int = 0) -> tuple[Tensor, Tensor]:
        """`batch` of `count` images starting at index `start`; raises UserError if the split has too few."""
        if start + count > len(self.images):
            images = f"{count} image{'s' if count > 1 else ''}"
            raise UserError(f"asked for {images} starting at index {start}, but {self.split} has only {len(self.images)}.")
        return self.batch(torch.arange(start, start + count))


@dataclass(frozen=True)
class Picture:
    """An entry of `PICTURES`.

    Attributes:
        draw: (context, **settings) → figure; the settings are the keys of the picture's group in `conf/generate.yaml`.
        description: what the picture shows.
        needs_real_space: whether it moves along straight lines, which latents on a sphere or one-hot vectors do not allow.
        needs_two_dimensions: whether it shows a two-dimensional latent space.
        needs_kl: whether it shows the KL of each dimension.
        in_training: whether it is drawn during training.
        in_generate: whether `generate.py` can draw it.
    """

    draw: Callable[..., Figure]
    description: str
    needs_real_space: bool = False
    needs_two_dimensions: bool = False
    needs_kl: bool = False
    in_training: bool = True
    in_generate: bool = True

    def fits(self, vae: VAE) -> bool:
        """Whether the picture can be drawn of this VAE."""
        real = REAL_SPACE in vae.posterior.capabilities
        return (real or not self.needs_real_space) and (vae.latent_prior.top_dim == 2 or not self.needs_two_dimensions)

    def check(self, name: str, vae: VAE) -> None:
        """Raise UserError, naming what is missing, unless the picture can be drawn of this VAE."""
        if self.needs_real_space and REAL_SPACE not in vae.posterior.capabilities:
            raise UserError(f"what={name} is incompatible with {vae.posterior.option}: it needs {REAL_SPACE}.")
        if self.needs_two_dimensions and vae.latent_prior.top_dim != 2:
            dim = vae.latent_prior.top_dim
            raise UserError(f"what={name} draws a two-dimensional latent space, and this run has latent_dim={dim}.")


def _reconstructions(context: PictureContext, count: int = 40, columns: int = 10, evenly_spaced: bool = False) -> Figure:
    count = min(count, len(context.images))
    x, c = context.batch(context.images.evenly_spaced(count)) if evenly_spaced else context.first(count)
    return reconstructions(context.vae, x, columns, c)


def _samples(context: PictureContext, rows: int | None = None, columns: int = 12, label: int | None = None) -> Figure:
    return samples(context.vae, rows, columns, context.seed, label, context.class_names)


@torch.no_grad()
def _latent_scatter(context: PictureContext, count: int = 2000) -> Figure:
    x, c = context.first(min(count, len(context.images)))
    return latent_scatter(context.vae.encode(x, c).mean, c, context.split, context.class_names)


def _traversals(context: PictureContext, image: int = 0, reach: float = 3.0, columns: int = 11) -> Figure:
    x, c = context.first(1, image)
    return traversals(context.vae, x[0], context.kl, reach, columns, c=c)


def _kl_per_dimension(context: PictureContext) -> Figure:
    if context.kl is None:
        raise UserError("kl_per_dimension: the KL of this model does not split into latent dimensions.")
    return kl_bars(context.kl, context.active_units)


def _manifold(context: PictureContext, side: int = 20, label: int | None = None) -> Figure:
    return manifold(context.vae, side, label)


def _interpolations(context: PictureContext, rows: int = 6, columns: int = 11) -> Figure:
    rows = min(rows, len(context.images) // 2)
    if rows == 0:
        raise UserError(f"what=interpolations needs two images, but {context.split} has {len(context.images)}.")
    x, c = context.first(2 * rows)
    return interpolations(context.vae, x[:rows], x[rows:], columns, c[:rows], c[rows:])


PICTURES: dict[str, Picture] = {
    "reconstructions": Picture(_reconstructions, "images and their reconstructions"),
    "samples": Picture(_samples, "decoded draws from the prior"),
    "latent_scatter": Picture(_latent_scatter, "the codes of images, coloured by label"),
    "traversals": Picture(_traversals, "what each latent dimension does to an image", needs_real_space=True),
    "kl_per_dimension": Picture(_kl_per_dimension, "nats that each latent dimension carries", needs_kl=True, in_generate=False),
    "manifold": Picture(
        _manifold, "the decoded plane of two latent dimensions", needs_real_space=True, needs_two_dimensions=True
    ),
    "interpolations": Picture(_interpolations, "from one image to another", needs_real_space=True, in_training=False),
}
