"""Splits of one's own data: how much is held out for validation and testing, as a share or a count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np
import torch

from vae_lightning.data.base import DataSettings, ImageData, stratified_split
from vae_lightning.data.checks import check_images, duplicate_notes
from vae_lightning.data.image_arrays import read_images
from vae_lightning.data.images import Images
from vae_lightning.data.labels import UNLABELLED, read_labels
from vae_lightning.errors import LARGEST_INT, InvalidValue, UserError


class OwnData(ImageData):
    """A data set of the user's own, with no official splits.

    Attributes:
        sizes: the shares or counts of `test` and `val`, in the order in which they are taken.

    Args:
        val_size: images held out for validation: a share, 0.1, or a count, 500.
        test_size: images held out for testing, likewise.

    See `ImageData` for the other arguments.
    """

    def __init__(
        self,
        val_size: float = 0.1,
        test_size: float = 0.1,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(None, **settings)
        self.sizes = {"test": check_size("test_size", test_size), "val": check_size("val_size", val_size)}

    def split_arrays(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, Images]:
        """The splits of images that are not split yet, read and checked as those of `data=arrays` are; sets notes and names.

        Args:
            images: (N, H, W), (N, H, W, C) or (N, C, H, W) of any type, see `data.image_arrays`; or rows of numbers (N, D).
            labels: (N,) of any form, see `data.labels`; None if nothing has a label.

        Raises:
            UserError: they cannot be read, or nothing is left for training.
        """
        found, self.notes = read_images({"images": images})
        pixels = found["images"]
        self.notes += check_images(pixels, "images")
        self.kind = "real" if pixels.is_floating_point() else None
        classes = np.full(len(pixels), UNLABELLED)
        if labels is not None:
            classes, self.class_names, notes = read_labels(labels, len(pixels))
            self.notes += notes
        indices = own_split(len(pixels), classes, self.sizes, self.split_seed)
        splits = {name: Images(pixels[i].contiguous(), torch.from_numpy(classes[i])) for name, i in indices.items()}
        self.notes += duplicate_notes(splits)
        return splits


def check_size(name: str, value: object) -> float:
    """Return `value` if it is a share (a float in (0, 1)) or a count (an integer of at least 1); else raise InvalidValue."""
    share = isinstance(value, float) and 0 < value < 1
    count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_INT
    if not share and not count:
        raise InvalidValue(name, value, "a share above 0 and below 1, such as 0.1, or a count of at least 1")
    return value  # type: ignore[return-value]


def split_counts(images: int, sizes: Mapping[str, float]) -> dict[str, int]:
    """How many images each split gets: at least one, and at least one is left for training.

    Args:
        images: how many there are.
        sizes: a share of all images or a count, by split; see `check_size`.

    Raises:
        UserError: nothing would be left for training.
    """
    counts = {name: max(1, round(size * images)) if isinstance(size, float) else int(size) for name, size in sizes.items()}
    if sum(counts.values()) >= images:
        said = " and ".join(f"data.{name}_size={size}" for name, size in sizes.items())
        leave = "leaves" if len(sizes) == 1 else "leave"
        remedy = "lower it" if len(sizes) == 1 else "lower them"
        if images <= len(sizes):
            remedy = f"there must be at least {len(sizes) + 1}"
        there = f"the {images:,} images" if images != 1 else "the only image"
        raise UserError(f"{said} {leave} nothing of {there} for training: {remedy}.")
    return counts


def own_split(images: int, labels: np.ndarray | None, sizes: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Shuffled indices of `train` and of each split in `sizes`, stratified by label where there are labels.

    Args:
        images: how many there are to split.
        labels: (images,), class of each, −1 for none; None if nothing has a label.
        sizes: a share of all images or a count, by split; see `check_size`.
        seed: of the shuffle.

    Raises:
        UserError: nothing would be left for training.
    """
    counts = split_counts(images, sizes)
    return stratified_split(np.zeros(images, np.int64) if labels is None else labels, counts, seed)
