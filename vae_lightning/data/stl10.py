"""`data=stl10`: colour photographs, most of them without a label, in torchvision's layout, downloaded if missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from vae_lightning.data.base import DataSettings, stratified_split
from vae_lightning.data.images import Images
from vae_lightning.data.published import DownloadedData, check_labels, spread
from vae_lightning.errors import check_choice
from vae_lightning.readers import check_ordinary

FOLDER = "stl10_binary"
SHAPE = (3, 96, 96)
BYTES = 3 * 96 * 96
MOST = 1_000_000  # images of a file: 28 GB
BLOCK = 1000  # images copied at a time


class STL10(DownloadedData):
    """113,000 colour photographs, 96×96 (Coates et al. 2011), of ten classes, or unlabelled.

    With `split=train`, 4,500 train and 500 val, a `stratified_split` of the 5,000 labelled training images; with
    `split=unlabeled`, 99,500 train and 500 val of the 100,000 unlabelled ones (2.8 GB of memory), whose labels are −1. The
    official 8,000 test images, which have labels, are test.

    Args:
        root: the folder that holds, or receives, `stl10_binary/train_X.bin` and the other files.
        split: train or unlabeled.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    home = "https://cs.stanford.edu/~acoates/stl10"
    kind = "colour"
    class_names = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

    def __init__(
        self,
        root: str = "data",
        split: str = "train",
        download: bool = True,
        val_size: int = 500,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)
        self.split = check_choice("split", split, ("train", "unlabeled"))

    def load(self) -> dict[str, Images]:
        folder = self.root / FOLDER
        labelled = ("train", "test") if self.split == "train" else ("test",)
        names = [f"{self.split}_X.bin", "test_X.bin", *(f"{part}_y.bin" for part in labelled)]
        self.obtain(lambda: [name for name in names if not (folder / name).exists()], FOLDER)
        published = {part: self._open(folder / f"{part}_X.bin") for part in (self.split, "test")}
        labels = {part: self._labels(folder / f"{part}_y.bin", len(published[part])) for part in labelled}
        mine = labels.get(self.split, np.full(len(published[self.split]), -1))
        indices = stratified_split(mine, {"val": self.val_size}, self.split_seed)
        found = spread(_upright(published[self.split]), indices, len(mine), SHAPE)
        splits = {name: Images(images, torch.from_numpy(mine[indices[name]])) for name, images in found.items()}
        everything = {"test": np.arange(len(published["test"]))}
        test = spread(_upright(published["test"]), everything, len(published["test"]), SHAPE)["test"]
        return {**splits, "test": Images(test, torch.from_numpy(labels["test"]))}

    def _open(self, path: Path) -> np.ndarray:
        """The images of a file, in a memory map: each channel is published column by column."""
        with self.reading(path):
            check_ordinary(path, MOST * BYTES)
            if path.stat().st_size % BYTES or not path.stat().st_size:
                raise ValueError("not a whole number of images")
            return np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, *SHAPE)

    def _labels(self, path: Path, count: int) -> np.ndarray:
        with self.reading(path):
            check_ordinary(path, MOST)
            labels = check_labels(np.fromfile(path, dtype=np.uint8).astype(np.int64) - 1, len(self.class_names))
            if len(labels) != count:
                raise ValueError(f"{count} images but {len(labels)} labels")
            return labels

    def fetch(self) -> None:
        from torchvision import datasets

        datasets.STL10(str(self.root), split="test", download=True)  # the archive holds every part


def _upright(images: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(images), BLOCK):
        yield images[first : first + BLOCK].transpose(0, 1, 3, 2)
