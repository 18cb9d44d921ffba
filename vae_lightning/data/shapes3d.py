"""`data=shapes3d`: coloured solids in a room from six known factors, read from where the published file lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.factor_data import FactorData
from vae_lightning.errors import UserError
from vae_lightning.readers import check_ordinary

FILE = "3dshapes.h5"
FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
LARGEST = 2**34  # bytes of the file; the published one has 267 MB
MOST = 2**20  # images; there are 480,000
BLOCK = 5000  # images read at a time


class Shapes3D(FactorData):
    """10 floor × 10 wall × 10 object hues × 8 scales × 4 shapes × 15 orientations, 64×64, colour (Burgess and Kim 2018).

    480,000 images: 460,000 train, 10,000 val and 10,000 test, drawn with `split_seed`; there is no official split. The label is
    the shape. The splits carry `factors` in that order: those of disentanglement_lib (Locatello et al. 2019,
    `data/ground_truth/shapes3d.py`). Hues, which go round in a circle, and the shape are categories; scale and orientation are
    quantities.

    Args:
        root: the folder that holds `3dshapes.h5`, or has it in `3dshapes/`.
        images: how many images are drawn, without repetition, by `split_seed`; None for all of them (6 GB of memory).
        test_size: images held out for testing.

    See `ImageData` for the other arguments.
    """

    home = "https://github.com/google-deepmind/3d-shapes"
    kind = "colour"
    categorical_factors = (True, True, True, False, True, False)
    label_factor = 4

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
        _h5py()
        return self.locate([FILE], ["", "3dshapes", "shapes3d"])

    def read_factors(self, path: Path) -> np.ndarray:
        """The published values are numbers such as a hue of 0.3: each factor's are counted in increasing order."""
        with _open(path) as (images, labels):
            values = np.asarray(labels[:], dtype=np.float64)
            if images.shape != (len(values), 64, 64, 3) or images.dtype != np.uint8 or not np.isfinite(values).all():
                raise ValueError(f"images {images.dtype} {images.shape}")
        return np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], 1).astype(np.int64)

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        with _open(path) as (images, _):
            for first in range(0, len(images), BLOCK):
                yield images[first : first + BLOCK].transpose(0, 3, 1, 2)

    def shape(self) -> tuple[int, int, int]:
        return 3, 64, 64


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "data=shapes3d is read from an HDF5 file, which needs the package h5py: pip install 'vae-lightning[hdf5]', or use "
            "data=mnist5k, which needs no download."
        ) from error
    return h5py


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """The data sets of images and labels. ValueError for what leads out of the file, or is too large."""
    h5py = _h5py()
    check_ordinary(path, LARGEST)
    with h5py.File(path, "r") as file:
        if any(not isinstance(file.get(name, getlink=True), h5py.HardLink) for name in ("images", "labels")):
            raise ValueError("a link")
        images, labels = file["images"], file["labels"]
        if any(data.is_virtual or data.external for data in (images, labels)):
            raise ValueError("data in other files")
        if len(images.shape) != 4 or len(images) > MOST or labels.shape != (len(images), len(FACTORS)):
            raise ValueError(f"images {images.shape} and labels {labels.shape}")
        yield images, labels
