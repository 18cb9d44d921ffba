"""`data=omniglot`: handwritten characters of 50 alphabets, as Burda et al. (2016) published them."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.matlab import check_scipy, read_matlab
from vae_lightning.data.published import PublishedData

FILE = "chardata.mat"
ALPHABETS = 50


class Omniglot(PublishedData):
    """32,415 characters, 28×28 (Lake et al. 2015, as in Burda et al. 2016): 23,000 train, 1,345 val, and their 8,070 as test.

    Labels are the 50 alphabets. The file holds intensities in [0, 1], which Burda et al. binarise anew at each use;
    `binarize=auto` does so under a binary likelihood. They are rounded to multiples of 1/255. Val has as many images as theirs,
    drawn with `split_seed` and stratified by alphabet.

    Args:
        root: the folder that holds `chardata.mat`, or `OMNIGLOT/chardata.mat`.

    See `ImageData` for the other arguments.
    """

    home = "https://github.com/yburda/iwae/tree/master/datasets/OMNIGLOT"
    kind = "binary"

    def __init__(
        self,
        root: str = "data",
        val_size: int = 1345,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, val_size, **settings)

    def load(self) -> dict[str, Images]:
        check_scipy("data=omniglot")
        path = self.locate([FILE], ["", "OMNIGLOT", "omniglot"])
        with self.reading(path):
            train, target, test, test_target = read_matlab(path, ("data", "target", "testdata", "testtarget"))
            return self.share_out(_images(train, target), _images(test, test_target))


def _images(columns: np.ndarray, target: np.ndarray) -> Images:
    """Images from intensities (784, N), pixels in MATLAB's order, and one-hot alphabets (50, N)."""
    if columns.shape[0] != 784 or target.shape != (ALPHABETS, columns.shape[1]) or not (target.sum(0) == 1).all():
        raise ValueError(f"images {columns.shape} and alphabets {target.shape}")
    if not (columns.min() >= 0 and columns.max() <= 1):
        raise ValueError("an intensity is not in [0, 1]")
    upright = np.rint(columns.T * 255).astype(np.uint8).reshape(-1, 28, 28).transpose(0, 2, 1)
    return images_from_arrays(upright, target.argmax(0))
