"""`data=qmnist`: MNIST made again from its source, with 60,000 test digits, in torchvision's layout, downloaded if missing."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.idx import find_idx, read_idx
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.mnist import MNIST
from vae_lightning.data.published import check_labels
from vae_lightning.errors import UserError, check_choice
from vae_lightning.readers import read_bytes

FILES = {part: (f"qmnist-{part}-images-idx3-ubyte", f"qmnist-{part}-labels-idx2-int") for part in ("train", "test")}
TESTS = {"test": slice(None), "test10k": slice(10_000), "test50k": slice(10_000, None)}
START, COLUMNS = b"\x00\x00\x0c\x02", 8  # 32-bit integers, two dimensions; the first of the eight columns is the digit
LARGEST = 64 * 2**20  # bytes of the labels; the real ones have 1.9 MB


class QMNIST(MNIST):
    """120,000 digits, 28×28 (Yadav and Bottou 2019): MNIST's training digits, and 60,000 for testing.

    50,000 train and 10,000 val, a `stratified_split` of the official training images, and the official test images as test.

    Args:
        root: the folder that holds, or receives, `QMNIST/raw/qmnist-train-images-idx3-ubyte` and the other files.
        test: which of the test images: test (60,000), test10k (those of MNIST) or test50k (the others).
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder = "QMNIST"
    home = "https://github.com/facebookresearch/qmnist"

    def __init__(
        self,
        root: str = "data",
        test: str = "test",
        download: bool = True,
        val_size: int = 10000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)
        self.test = check_choice("test", test, tuple(TESTS))

    def files(self) -> dict[str, tuple[str, str]]:
        return FILES

    def read(self, raw: Path, images: str, labels: str) -> Images:
        path = find_idx(raw / labels) or raw / labels
        with self.reading(path):
            digits = check_labels(read_digits(path), 10)
        pixels = read_idx(find_idx(raw / images) or raw / images, 3)
        if len(pixels) != len(digits) or pixels.size == 0:
            raise UserError(f"{raw / images} holds {len(pixels)} images, and {raw / labels} {len(digits)} labels.")
        wanted = TESTS[self.test] if images == FILES["test"][0] else slice(None)
        return images_from_arrays(pixels[wanted], digits[wanted])

    def fetch(self) -> None:
        from torchvision import datasets

        for what in FILES:
            datasets.QMNIST(str(self.root), what=what, download=True)


def read_digits(path: Path) -> np.ndarray:
    """The first column of an IDX file of big-endian 32-bit integers (N, 8), gzipped or not; ValueError if it is none."""
    content = read_bytes(path, LARGEST)
    if content[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            content = file.read(LARGEST + 1)
    sizes = np.frombuffer(content[4:12], dtype=">u4")
    if content[:4] != START or len(content) != 12 + 4 * COLUMNS * int(sizes[0]) or sizes[1] != COLUMNS:
        raise ValueError("no IDX file of 32-bit integers in eight columns")
    return np.frombuffer(content[12:], dtype=">i4").reshape(-1, COLUMNS)[:, 0]
