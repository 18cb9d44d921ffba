"""`data=celeba`: faces, cropped and scaled as in the literature, in torchvision's layout, downloaded if missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from vae_lightning.data.base import SPLITS, DataSettings
from vae_lightning.data.images import Images
from vae_lightning.data.published import DownloadedData, spread
from vae_lightning.errors import UserError, check_int
from vae_lightning.readers import MB, check_ordinary, read_bytes, read_text

FOLDER, PICTURES, PARTITION, ATTRIBUTES = "celeba", "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"
PUBLISHED = (178, 218)  # width and height
CROP = 148
BLOCK = 1024  # images decoded together
LARGEST_PICTURE, LARGEST_LIST = MB, 256 * MB  # bytes; real ones have some 10 kB, and 27 MB


class CelebA(DownloadedData):
    """202,599 faces, colour (Liu et al. 2015), with the official split: 162,770 train, 19,867 val, 19,962 test.

    The central 148×148 pixels of each aligned picture (178×218) are scaled to `size`, bilinearly with antialiasing. At 64×64 they
    take 2.5 GB of memory, and decoding them takes minutes when a run starts. There are no classes: labels are −1, and the 40
    attributes are `targets` of 0 and 1, if `list_attr_celeba.txt` is there.

    Args:
        root: the folder that holds, or receives, `celeba/img_align_celeba/000001.jpg` …, and `celeba/list_eval_partition.txt`.
        size: height and width of the images, at most 148.
        download: whether to download missing files, which needs the package gdown.

    See `ImageData` for the other arguments.
    """

    home = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    kind = "colour"

    def __init__(
        self,
        root: str = "data",
        size: int = 64,
        download: bool = True,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, None, **settings)
        self.size = check_int("size", size, 8, CROP)

    def load(self) -> dict[str, Images]:
        folder = self.root / FOLDER
        self.obtain(lambda: [name for name in (PARTITION, PICTURES) if not (folder / name).exists()], FOLDER)
        with self.reading(folder / PARTITION):
            rows = [line.split() for line in read_text(folder / PARTITION, LARGEST_LIST).splitlines()]
            names, parts = [name for name, _ in rows], np.array([int(part) for _, part in rows])
            if any(Path(name).name != name for name in names) or not set(parts.tolist()) <= {0, 1, 2}:
                raise ValueError("a name is that of another folder, or a part is unknown")
        targets = self._attributes(folder / ATTRIBUTES, len(names))
        indices = {split: np.flatnonzero(parts == number) for number, split in enumerate(SPLITS)}
        images = spread(
            self._decode([folder / PICTURES / name for name in names]), indices, len(names), (3, self.size, self.size)
        )
        return {
            split: Images(images[split], torch.full((len(chosen),), -1), targets=_chosen(targets, chosen))
            for split, chosen in indices.items()
        }

    def _decode(self, paths: list[Path]) -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoding releases Python's lock
            for first in range(0, len(paths), BLOCK):
                yield np.stack(list(pool.map(self._picture, paths[first : first + BLOCK])))

    def _picture(self, path: Path) -> np.ndarray:
        """One picture, uint8 (3, size, size)."""
        from PIL import Image

        with self.reading(path), Image.open(BytesIO(read_bytes(path, LARGEST_PICTURE)), formats=["JPEG"]) as picture:
            if picture.size != PUBLISHED:
                raise ValueError(f"{picture.size} pixels")
            left, top = ((side - CROP) // 2 for side in PUBLISHED)
            face = picture.convert("RGB").crop((left, top, left + CROP, top + CROP))
            return np.asarray(face.resize((self.size, self.size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)

    def _attributes(self, path: Path, count: int) -> torch.Tensor | None:
        """The attributes as 0 and 1, float32 (N, 40); None without the file."""
        if not path.exists():
            return None
        with self.reading(path):
            check_ordinary(path, LARGEST_LIST)
            with path.open(encoding="utf-8") as file:
                columns = len(file.readlines(MB)[1].split())
            values = np.loadtxt(path, dtype=np.int8, skiprows=2, usecols=range(1, columns + 1), ndmin=2)
            if len(values) != count:
                partition = path.with_name(PARTITION)
                raise UserError(f"{path} has {len(values)} rows, and {partition} has {count}: get both again from {self.home}.")
            return torch.from_numpy((values > 0).astype(np.float32))

    def fetch(self) -> None:
        from torchvision import datasets

        datasets.CelebA(str(self.root), download=True)


def _chosen(targets: torch.Tensor | None, rows: np.ndarray) -> torch.Tensor | None:
    return None if targets is None else targets[torch.from_numpy(rows)]
