"""`data=usps`: handwritten digits from envelopes, 16×16, in LIBSVM's text files, downloaded by torchvision if missing."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.published import DownloadedData, check_labels
from vae_lightning.readers import check_ordinary

FILES = {"train": "usps.bz2", "test": "usps.t.bz2"}
PIXELS = 256
LARGEST = 256 * 2**20  # bytes of the unpacked text; the training file has some 25 MB


class USPS(DownloadedData):
    """9,298 digits, 16×16, grey (Hull 1994): 6,291 train, 1,000 val, and the official 2,007 as test.

    Train and val are a `stratified_split` of the official training images. The published pixels in [−1, 1] are rounded to
    0 … 255, and the labels 1 … 10 are the digits 0 … 9.

    Args:
        root: the folder that holds, or receives, `usps.bz2` and `usps.t.bz2`.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    home = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html"
    kind = "grey"

    def __init__(
        self,
        root: str = "data",
        download: bool = True,
        val_size: int = 1000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)

    def load(self) -> dict[str, Images]:
        self.obtain(lambda: [name for name in FILES.values() if not (self.root / name).exists()], "")
        return self.share_out(*(self._read(self.root / FILES[split]) for split in ("train", "test")))

    def _read(self, path: Path) -> Images:
        with self.reading(path):
            check_ordinary(path, LARGEST)
            with bz2.open(path) as file:
                text = file.read(LARGEST + 1)
            if len(text) > LARGEST:
                raise ValueError("too large")
            return images_from_arrays(*parse_libsvm(text))

    def fetch(self) -> None:
        from torchvision import datasets

        for train in (True, False):
            datasets.USPS(str(self.root), train=train, download=True)


def parse_libsvm(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 16, 16) and labels (N,) of lines `label 1:value 2:value …`; a feature that is left out is 0."""
    lines = text.splitlines()
    values, labels = np.zeros((len(lines), PIXELS)), np.zeros(len(lines), dtype=np.int64)
    for row, line in enumerate(lines):
        label, *features = line.replace(b":", b" ").split()
        numbers = np.array(features, dtype=np.float64)
        places = numbers[::2].astype(np.int64) - 1
        if places.size and places.min() < 0:
            raise ValueError("features count from 1")
        labels[row], values[row, places] = int(label) - 1, numbers[1::2]
    if not np.abs(values).max() <= 1:  # NaN as well
        raise ValueError("a value is not in [-1, 1]")
    return np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, 16, 16), check_labels(labels, 10)
