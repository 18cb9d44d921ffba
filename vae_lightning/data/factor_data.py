"""The base class of data sets that have one image for each combination of known factors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Unpack

import numpy as np
import torch

from vae_lightning.data.base import DataSettings, stratified_split
from vae_lightning.data.images import Images
from vae_lightning.data.published import PublishedData, spread
from vae_lightning.errors import InvalidValue, check_int


class FactorData(PublishedData):
    """Images with their factors; the label is one of the factors, by which the splits are stratified.

    Attributes:
        label_factor: the column of the factors that is the label.

    Args:
        root: the folder that holds the file.
        images: how many images are drawn, without repetition, by `split_seed`; None for all of them.
        test_size: images held out for testing.

    See `ImageData` for the other arguments.
    """

    label_factor: ClassVar[int]

    def __init__(
        self,
        root: str,
        images: int | None,
        val_size: int,
        test_size: int,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, val_size, **settings)
        self.images = None if images is None else check_int("images", images)
        self.test_size = check_int("test_size", test_size)

    @abstractmethod
    def path(self) -> Path:
        """The published file."""

    @abstractmethod
    def read_factors(self, path: Path) -> np.ndarray:
        """The factors of all images in the file, int64 (N, factors), each counted from 0."""

    @abstractmethod
    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        """All images of the file in order, uint8 (n, C, H, W) at a time."""

    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Of an image, (C, H, W)."""

    def load(self) -> dict[str, Images]:
        path = self.path()
        with self.reading(path):
            factors = self.read_factors(path)
        count = len(factors)
        if self.images is not None and self.images > count:
            raise InvalidValue("images", self.images, f"at most the {count:,} there are, or null for all of them")
        drawn = np.random.default_rng(self.split_seed).permutation(count)[: self.images]
        labels = factors[drawn, self.label_factor]
        split = stratified_split(labels, {"test": self.test_size, "val": self.val_size}, self.split_seed)
        indices = {name: drawn[chosen] for name, chosen in split.items()}
        with self.reading(path):
            found = spread(self.blocks(path), indices, count, self.shape())
        splits = {}
        for name, images in found.items():
            mine = torch.from_numpy(factors[indices[name]])
            splits[name] = Images(images, mine[:, self.label_factor].clone(), mine)
        return splits
