"""`data=emnist`: handwritten digits and letters, six ways of splitting them, in torchvision's layout, downloaded if missing."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Unpack

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images
from vae_lightning.data.mnist import MNIST
from vae_lightning.data.published import check_labels
from vae_lightning.errors import UserError, check_choice

MERGED = "cijklmopsuvwxyz"  # small letters that bymerge and balanced count with their capitals
ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
DISTINCT = "".join(letter for letter in ALL if letter not in MERGED)
CLASSES = {
    "balanced": DISTINCT,
    "byclass": ALL,
    "bymerge": DISTINCT,
    "digits": string.digits,
    "letters": string.ascii_lowercase,
    "mnist": string.digits,
}


class EMNIST(MNIST):
    """Handwritten digits and letters, 28×28 (Cohen et al. 2017), upright, with labels from 0.

    | split | classes | official training images | official test images |
    |---|---|---|---|
    | balanced | 47 | 112,800 | 18,800 |
    | byclass | 62 | 697,932 | 116,323 |
    | bymerge | 47 | 697,932 | 116,323 |
    | digits | 10 | 240,000 | 40,000 |
    | letters | 26 | 124,800 | 20,800 |
    | mnist | 10 | 60,000 | 10,000 |

    The published images are transposed, and the published labels of `letters` run from 1 to 26. Train and val are a
    `stratified_split` of the official training images; the official test images are test.

    Args:
        root: the folder that holds, or receives, `EMNIST/raw/emnist-balanced-train-images-idx3-ubyte` and the other files.
        split: one of the six above.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder = "EMNIST"
    home = "https://www.nist.gov/itl/products-and-services/emnist-dataset"

    def __init__(
        self,
        root: str = "data",
        split: str = "balanced",
        download: bool = True,
        val_size: int = 10000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)
        self.split = check_choice("split", split, tuple(CLASSES))
        self.class_names = tuple(CLASSES[split])

    def files(self) -> dict[str, tuple[str, str]]:
        def pair(part: str) -> tuple[str, str]:
            start = f"emnist-{self.split}-{part}"
            return f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte"

        return {part: pair(part) for part in ("train", "test")}

    def read(self, raw: Path, images: str, labels: str) -> Images:
        published = super().read(raw, images, labels)
        try:
            numbers = published.labels - (1 if self.split == "letters" else 0)
            check_labels(numbers.numpy(), len(CLASSES[self.split]))
        except ValueError as error:
            raise UserError(f"{raw / labels} holds labels that data.split={self.split} does not have.") from error
        return Images(published.images.transpose(2, 3).contiguous(), numbers)

    def fetch(self) -> None:
        from torchvision import datasets

        datasets.EMNIST(str(self.root), split=self.split, download=True)
