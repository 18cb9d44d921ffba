"""`data=dsprites`: white shapes on black from five known factors, read from where the published file lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.factor_data import FactorData
from vae_lightning.data.npz import array_blocks, array_shape, read_array

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FACTORS = ("shape", "scale", "orientation", "x", "y")


class DSprites(FactorData):
    """3 shapes × 6 scales × 40 orientations × 32 × 32 positions, 64×64, binary (Matthey et al. 2017); the label is the shape.

    737,280 images: 717,280 train, 10,000 val and 10,000 test, drawn with `split_seed`; there is no official split. The splits
    carry `factors`, in the order shape, scale, orientation, x, y: those of disentanglement_lib (Locatello et al. 2019,
    `data/ground_truth/dsprites.py`), without the colour, which has only one value. The shape is a category, the others are
    quantities.

    Args:
        root: the folder that holds the published `.npz` file, or has it in `dsprites/`.
        images: how many images are drawn, without repetition, by `split_seed`; None for all of them (3 GB of memory).
        test_size: images held out for testing.

    See `ImageData` for the other arguments.
    """

    home = "https://github.com/google-deepmind/dsprites-dataset"
    kind = "binary"
    categorical_factors = (True, False, False, False, False)
    label_factor = 0
    class_names = ("square", "ellipse", "heart")

    def __init__(
        self,
        root: str = "data",
        images: int | None = None,
        val_size: int = 10000,
        test_size: int = 10000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, images, val_size, test_size, **settings)

    def path(self) -> Path:
        return self.locate([FILE], ["", "dsprites"])

    def read_factors(self, path: Path) -> np.ndarray:
        classes = read_array(path, "latents_classes").astype(np.int64)
        images = array_shape(path, "imgs")
        if classes.ndim != 2 or classes.shape[1] != 1 + len(FACTORS) or images != (len(classes), *self.shape()[1:]):
            raise ValueError(f"images {images} and factors {classes.shape}")
        if classes.min() < 0 or classes[:, 1].max() >= len(self.class_names):
            raise ValueError("a factor is out of range")
        return classes[:, 1:]  # the first is the colour, which is always white

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        for block in array_blocks(path, "imgs"):
            if block.dtype != np.uint8 or block.max() > 1:
                raise ValueError("a pixel is neither 0 nor 1")
            yield block[:, None] * np.uint8(255)

    def shape(self) -> tuple[int, int, int]:
        return 1, 64, 64
