"""`data=frey`: the face of Brendan Frey in the frames of a video, read from where the file lies."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings, stratified_split
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.matlab import check_scipy, read_matlab
from vae_lightning.data.published import PublishedData
from vae_lightning.errors import check_int

FILE = "frey_rawface.mat"


class Frey(PublishedData):
    """1,965 faces, 28×20, grey (Roweis and Saul 2000), without labels (−1): 1,565 train, 200 val, 200 test.

    There is no official split: these sizes are those of Tomczak and Welling (2018), drawn with `split_seed`. The images are
    frames of one video, so that test images have near-duplicates among the training images.

    Args:
        root: the folder that holds `frey_rawface.mat`.
        test_size: images held out for testing.

    See `ImageData` for the other arguments.
    """

    home = "https://cs.nyu.edu/~roweis/data.html"
    kind = "grey"

    def __init__(  # type: ignore[misc]  # batch_size has a default of its own
        self,
        root: str = "data",
        val_size: int = 200,
        test_size: int = 200,
        batch_size: int = 64,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, val_size, batch_size=batch_size, **settings)
        self.test_size = check_int("test_size", test_size)

    def load(self) -> dict[str, Images]:
        check_scipy("data=frey")
        path = self.locate([FILE], ["", "frey"])
        with self.reading(path):
            (columns,) = read_matlab(path, ("ff",))
            if columns.dtype != np.uint8 or columns.shape[0] != 560:
                raise ValueError(f"faces {columns.dtype} {columns.shape}")
        faces, labels = columns.T.reshape(-1, 28, 20), np.full(columns.shape[1], -1)
        indices = stratified_split(labels, {"test": self.test_size, "val": self.val_size}, self.split_seed)
        return {name: images_from_arrays(faces[i], labels[i]) for name, i in indices.items()}
