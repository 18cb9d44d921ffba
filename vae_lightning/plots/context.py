"""What pictures are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from vae_lightning.data.images import Images, pixels
from vae_lightning.errors import UserError
from vae_lightning.models.vae import VAE


class PictureContext:
    """What pictures are drawn from. Images and KL are functions, called only if a picture needs them.

    Args:
        vae: the model, in evaluation mode.
        load_images: returns the split that the pictures show.
        split: the name of that split: "train", "val" or "test".
        load_kl: returns the KL of each latent dimension, in nats per image, or None if it does not split by dimension.
        active_units: number of active latent dimensions, or of active channels of a grid; None if undefined.
        seed: of the samples.
        folder: of the run, with the frames of its training film; None if there is none.
        evenly_spaced: whether reconstructions show images spread over the split; False: its first images.
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
        folder: Path | None = None,
        evenly_spaced: bool = False,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.vae, self.split, self.active_units, self.seed = vae, split, active_units, seed
        self.folder, self.evenly_spaced, self.class_names = folder, evenly_spaced, class_names
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
        """`batch` of `count` images starting at index `start`; raise UserError if the split has too few."""
        if start + count > len(self.images):
            images = f"{count} image{'s' if count > 1 else ''}"
            raise UserError(f"asked for {images} starting at index {start}, but {self.split} has only {len(self.images)}.")
        return self.batch(torch.arange(start, start + count))
