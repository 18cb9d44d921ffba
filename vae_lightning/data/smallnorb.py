"""`data=smallnorb`: photographs of toys from known directions, read from where the published files lie."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import IO, Any, Unpack, cast

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images
from vae_lightning.data.published import PublishedData, check_labels
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.readers import check_ordinary

STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
FACTORS = ("category", "elevation", "azimuth", "lighting")
TYPES: dict[int, np.dtype[Any]] = {0x1E3D4C55: np.dtype(np.uint8), 0x1E3D4C54: np.dtype("<i4")}
LARGEST = 2**30  # bytes of an array; the published images of a split have 448 MB
SIZES = (64, 96)


class SmallNORB(PublishedData):
    """48,600 photographs of 50 toys in five categories, grey (LeCun et al. 2004): 22,300 train, 2,000 val, 24,300 official test.

    Train and val are a `stratified_split` of the official training images; the test images show other toys. As in
    disentanglement_lib (Locatello et al. 2019, `data/ground_truth/norb.py`), only the left of the two cameras is used, images are
    scaled to 64×64 by Lanczos's filter, and the `factors` are category (5 values), elevation (9), azimuth (18) and lighting (6),
    but not which toy it is. It trains and measures on all 48,600 images; here the test images are new. The label is the category.
    Category and lighting are categories, the others quantities.

    Args:
        root: the folder that holds the six `.mat` files, which may be gzipped, or has them in `smallnorb/` or `small_norb/`.
        size: 64, or 96 as published.

    See `ImageData` for the other arguments.
    """

    home = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
    kind = "grey"
    categorical_factors = (True, False, False, True)
    class_names = ("animal", "human", "airplane", "truck", "car")

    def __init__(
        self,
        root: str = "data",
        size: int = 64,
        val_size: int = 2000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, val_size, **settings)
        if size not in SIZES:
            raise InvalidValue("size", size, "64 or 96")
        self.size = size

    def load(self) -> dict[str, Images]:
        return self.share_out(*(self._read(STEMS[split]) for split in ("train", "test")))

    def _read(self, stem: str) -> Images:
        arrays = {}
        for part, rank in (("dat", 4), ("cat", 1), ("info", 2)):
            path = self.locate([f"{stem}-{part}.mat", f"{stem}-{part}.mat.gz"], ["", "smallnorb", "small_norb"])
            with self.reading(path):
                arrays[part] = read_matrix(path, rank)
        images, category, info = arrays["dat"], arrays["cat"], arrays["info"]
        with self.reading(path):
            factors = _factors(category, info)
        if images.dtype != np.uint8 or images.shape != (len(category), 2, 96, 96):
            raise UserError(f"The images of {stem} are {images.dtype} {images.shape}, but there are {len(category)} categories.")
        tensor = torch.from_numpy(factors)
        return Images(_scaled(images[:, 0], self.size), tensor[:, 0].clone(), tensor)


def _factors(category: np.ndarray, info: np.ndarray) -> np.ndarray:
    """Category, elevation, azimuth and lighting from 0, int64 (N, 4); `info` holds toy, elevation, azimuth, lighting."""
    if info.shape != (len(category), 4):
        raise ValueError(f"{len(category)} categories, and {info.shape}")
    columns = (category, info[:, 1], info[:, 2] // 2, info[:, 3])
    return np.stack([check_labels(column, count) for column, count in zip(columns, (5, 9, 18, 6), strict=True)], 1)


def read_matrix(path: Path, rank: int) -> np.ndarray:
    """The array of a file in NORB's own format: a type, the rank and at least three sizes, little-endian, then the numbers.

    Args:
        path: the file, gzipped or not.
        rank: how many dimensions the array has to have.

    Raises:
        ValueError: it is damaged or too large.
    """
    check_ordinary(path, LARGEST)
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file = cast(IO[bytes], gzip.GzipFile(fileobj=plain)) if packed else plain
        magic, dimensions = np.frombuffer(file.read(8), dtype="<u4").tolist()
        if magic not in TYPES or dimensions != rank:
            raise ValueError(f"type {magic:x}, {dimensions} dimensions")
        sizes = np.frombuffer(file.read(4 * max(3, rank)), dtype="<u4").tolist()[:rank]
        promised = math.prod(sizes) * TYPES[magic].itemsize
        if promised > LARGEST:
            raise ValueError("too large")
        content = file.read(promised + 1)
    if len(content) != promised or not promised:
        raise ValueError(f"{len(content)} bytes instead of {promised}")
    return np.frombuffer(content, dtype=TYPES[magic]).reshape(sizes)


def _scaled(images: np.ndarray, size: int) -> Tensor:
    """Images uint8 (N, 1, size, size)."""
    from PIL import Image

    if images.shape[1] == size:
        return torch.from_numpy(images[:, None].copy())
    scaled = np.empty((len(images), 1, size, size), dtype=np.uint8)
    for row, image in enumerate(images):
        scaled[row, 0] = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(scaled)
