"""Reads one array of a NumPy `.npz` file a block at a time, so that an array as large as the memory is held only once."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from vae_lightning.readers import check_ordinary

LARGEST = 2**34  # bytes of a file, and of an array of it
BLOCK = 2**26  # bytes read at a time


def array_shape(path: Path, name: str) -> tuple[int, ...]:
    """The shape of the array called `name`, from its header; errors as in `array_blocks`."""
    check_ordinary(path, LARGEST)
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        return _header(file)[0]


def array_blocks(path: Path, name: str) -> Iterator[np.ndarray]:
    """The array called `name`, in blocks of its first dimension. No pickled objects.

    Raises:
        ValueError: it is damaged, too large, or holds no numbers.
        Exception: whatever the readers of zip files and headers raise for a damaged file.
    """
    check_ordinary(path, LARGEST)
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        shape, dtype = _header(file)
        row = dtype.itemsize * math.prod(shape[1:])
        rows = max(1, BLOCK // max(1, row))
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            content = file.read(count * row)
            if len(content) != count * row:
                raise ValueError("it ends early")
            yield np.frombuffer(content, dtype=dtype).reshape(count, *shape[1:])


def read_array(path: Path, name: str) -> np.ndarray:
    """The whole array called `name`; errors as in `array_blocks`."""
    return np.concatenate(list(array_blocks(path, name)))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(file)
    if dtype.kind not in "uifb" or (in_columns and len(shape) > 1) or not shape:
        raise ValueError(f"an array of {dtype}, {shape}")
    if min(shape) < 0 or dtype.itemsize * math.prod(shape) > LARGEST:
        raise ValueError("an array is too large")
    return shape, dtype
