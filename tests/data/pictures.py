"""Small pictures for the tests of `data=folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vae_lightning.data.folder import Folder

rng = np.random.default_rng(0)


def grey(height: int = 6, width: int = 8) -> np.ndarray:
    """Random greys (height, width)."""
    return rng.integers(0, 256, (height, width), dtype=np.uint8)


def colour(height: int = 6, width: int = 8) -> np.ndarray:
    """Random colours (height, width, 3)."""
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> Path:
    """Writes a picture in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels).save(path, **options)
    return path


def write_classes(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 10) -> Path:
    """A folder of grey pictures for each class."""
    for name in classes:
        for i in range(each):
            save(root / name / f"{i}.png", grey())
    return root


def folder(root: Path, **settings: Any) -> Folder:
    """`data=folder` with its cache beside the pictures' folder."""
    return Folder(str(root), cache=str(root.parent / "cache"), **settings)
