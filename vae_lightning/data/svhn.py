"""`data=svhn`: digits cut from photographs of house numbers, in MATLAB files, downloaded by torchvision if missing."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.matlab import check_scipy, read_matlab
from vae_lightning.data.published import DownloadedData, check_labels

FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


class SVHN(DownloadedData):
    """99,289 colour digits, 32×32 (Netzer et al. 2011): 63,257 train, 10,000 val, and the official 26,032 as test.

    Train and val are a `stratified_split` of the official training images, without the "extra" ones. The published label 10 is
    the digit 0.

    Args:
        root: the folder that holds, or receives, `train_32x32.mat` and `test_32x32.mat`.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    home = "http://ufldl.stanford.edu/housenumbers"
    kind = "colour"

    def __init__(
        self,
        root: str = "data",
        download: bool = True,
        val_size: int = 10000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)

    def load(self) -> dict[str, Images]:
        check_scipy("data=svhn")
        self.obtain(lambda: [name for name in FILES.values() if not (self.root / name).exists()], "")
        return self.share_out(*(self._read(self.root / FILES[split]) for split in ("train", "test")))

    def _read(self, path: Path) -> Images:
        with self.reading(path):
            images, labels = read_matlab(path, ("X", "y"))
            if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or images.shape[3] != labels.size:
                raise ValueError(f"images {images.dtype} {images.shape} and {labels.size} labels")
            digits = check_labels(labels, 11)
            return images_from_arrays(images.transpose(3, 0, 1, 2), digits % 10)

    def fetch(self) -> None:
        from torchvision import datasets

        for split in FILES:
            datasets.SVHN(str(self.root), split=split, download=True)
