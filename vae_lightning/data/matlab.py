"""Reads arrays from MATLAB's files (version 5), through scipy, which is optional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vae_lightning.errors import UserError
from vae_lightning.readers import check_ordinary

LARGEST = 2**31  # bytes of a file, and numbers in an array of it


def check_scipy(option: str) -> None:
    """UserError unless scipy is installed."""
    try:
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{option} is read from MATLAB files, which needs the package scipy: pip install 'vae-lightning[matlab]', or use "
            "data=mnist5k, which needs no download."
        ) from error


def read_matlab(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """The numeric arrays called `names`.

    Raises:
        ValueError: one is missing, too large, or not numeric.
        Exception: whatever scipy raises for a damaged file.
    """
    from scipy.io import loadmat, whosmat

    check_ordinary(path, LARGEST)
    shapes = {name: shape for name, shape, _ in whosmat(path)}
    if missing := [name for name in names if name not in shapes]:
        raise ValueError(f"no array {missing[0]}")
    if any(math.prod(shapes[name]) > LARGEST for name in names):
        raise ValueError("an array is too large")
    content = loadmat(path, variable_names=list(names))
    arrays = [np.asarray(content[name]) for name in names]
    if any(array.dtype.kind not in "uifb" for array in arrays):
        raise ValueError("an array is not numeric")
    return arrays
