"""`data=arrays`: one's own images, signals or tables from a NumPy, torch, HDF5 or IDX file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.array_files import ArrayFile, open_arrays
from vae_lightning.data.array_keys import IMAGES, LABELS, TARGETS, WHOLE, find_keys, require_keys
from vae_lightning.data.base import SPLITS, DataSettings
from vae_lightning.data.checks import check_images, duplicate_notes
from vae_lightning.data.image_arrays import LAYOUTS, check_finite, check_range, read_images
from vae_lightning.data.images import KEPT_BYTES, Images
from vae_lightning.data.labels import UNLABELLED, read_labels
from vae_lightning.data.own_splits import OwnData, own_split
from vae_lightning.errors import InvalidValue, UserError, check_choice


class Arrays(OwnData):
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W); or rows of any numbers (N, D), such as signals or tables.

    A file with several arrays may name the splits: `x_train`, `y_train`, `x_test` … A split that it lacks is taken from training.

    Args:
        images: the file: `.npy`, `.npz`, a tensor or a dict of tensors saved by torch, HDF5, or IDX.
        labels: the file of the classes, see `data.labels`; None: from the file of the images, if there are any in it.
        targets: the file of numbers that belong to the images, (N,) or (N, D), which only conditions on numbers read.
        images_key: the name of the images in the file; None: as usual names tell.
        labels_key: the name of the labels in their file, likewise.
        layout: NHW, NHWC or NCHW; auto: as the shape tells.
        range: [low, high], the values of black and white; auto: as type and values tell.

    See `OwnData` and `ImageData` for the other arguments.
    """

    def __init__(
        self,
        images: str | None = None,
        labels: str | None = None,
        targets: str | None = None,
        images_key: str | None = None,
        labels_key: str | None = None,
        layout: str = "auto",
        range: str | list[float] = "auto",
        val_size: float = 0.1,
        test_size: float = 0.1,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(val_size, test_size, **settings)
        if images is None:
            raise InvalidValue("images", images, "a file of arrays, such as images.npy")
        self.images = _path("images", images)
        self.labels = None if labels is None else _path("labels", labels)
        self.targets = None if targets is None else _path("targets", targets)
        for name, key in (("images_key", images_key), ("labels_key", labels_key)):
            if key is not None and not isinstance(key, str):
                raise InvalidValue(name, key, "the name of an array in the file, or null")
        self.images_key, self.labels_key = images_key, labels_key
        self.layout, self.range = check_choice("layout", layout, LAYOUTS), check_range("range", range)

    def file_state(self) -> Hashable:
        return tuple(None if path is None else _stamp(path) for path in (self.images, self.labels, self.targets))

    def load(self) -> dict[str, Images]:
        file = open_arrays(self.images, "data.images")
        keys = require_keys(file, IMAGES, self.images_key, "data.images_key")
        named = {_named(file, key): file.read(key) for key in keys.values()}
        found, self.notes = read_images(named, self.layout, self.range)
        images = dict(zip(keys, found.values(), strict=True))
        for name, part in found.items():
            self.notes += check_images(part, name)
        self.kind = "real" if next(iter(images.values())).is_floating_point() else None
        labels, targets = self._read_labels(file, images), self._read_targets(images)
        if WHOLE not in keys:
            self.notes.append(f"The splits are those of the file: {', '.join(keys.values())}.")
        splits = self._split(images, labels, targets)
        self.notes += duplicate_notes(splits)
        return splits

    def _read_labels(self, file: ArrayFile, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classes, int64 (N,), by split as the images are; −1 where there are none."""
        if self.labels is not None:
            file = open_arrays(self.labels, "data.labels")
            keys = require_keys(file, LABELS, self.labels_key, "data.labels_key")
        else:
            keys = find_keys(file, LABELS, self.labels_key, "data.labels_key", alone=False)
        if not keys:
            return {split: torch.full((len(part),), UNLABELLED) for split, part in images.items()}
        if self.labels is None and self.labels_key is None:
            self.notes.append(f"Labels are {', '.join(keys.values())} in the same file.")
        values = _by_split(file, keys, images, "labels")
        missing = [np.full(len(part), np.nan) for split, part in images.items() if split not in values]
        whole = np.concatenate([*values.values(), *missing]) if len(values) + len(missing) > 1 else next(iter(values.values()))
        classes, self.class_names, notes = read_labels(whole, sum(map(len, images.values())))
        self.notes += notes
        order = [*values, *(split for split in images if split not in values)]
        parts = torch.from_numpy(classes).split([len(images[split]) for split in order])
        return dict(zip(order, parts, strict=True))

    def _read_targets(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Numbers, float32 (N, D), by split as the images are; empty if there are none."""
        if self.targets is None:
            return {}
        file = open_arrays(self.targets, "data.targets")
        values = _by_split(file, require_keys(file, TARGETS, None, "data.targets"), images, "targets")
        return {split: _numbers(array) for split, array in values.items()}

    def _split(self, images: dict[str, Tensor], labels: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Images]:
        """The splits, of which those that the file lacks are taken from the training images."""
        source = "train" if "train" in images else WHOLE
        sizes = {split: size for split, size in self.sizes.items() if split not in images}
        splits = {
            split: Images(part, labels[split], None, targets.get(split)) for split, part in images.items() if split != source
        }
        if not sizes:
            return {**splits, source: Images(images[source], labels[source], None, targets.get(source))}
        whole = images[source]
        known = labels[source].numpy() if (labels[source] != UNLABELLED).any() else None
        for split, indices in own_split(len(whole), known, sizes, self.split_seed).items():
            places = torch.from_numpy(indices)
            extra = targets[source][places] if source in targets else None
            large = whole.nbytes > KEPT_BYTES  # left where it lies, which may be a memory map
            splits[split] = Images(
                whole if large else whole[places].contiguous(), labels[source][places], None, extra, places if large else None
            )
        return {split: splits[split] for split in SPLITS}


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidValue(name, value, "a file")
    return Path(value).expanduser()


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Device, inode, size and time of the last change of a file; None if it cannot be seen, which loading it will say."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _named(file: ArrayFile, key: str) -> str:
    return f"{key} in {file.path}" if key else str(file.path)


def _by_split(file: ArrayFile, keys: Mapping[str, str], images: Mapping[str, Tensor], what: str) -> dict[str, np.ndarray]:
    """Arrays that belong to the images, one row for each, by the images' splits.

    Raises:
        UserError: they are split in another way, or their numbers differ.
    """
    if (WHOLE in keys) != (WHOLE in images):
        how = "one array" if WHOLE in keys else "an array for each split"
        raise UserError(f"data.{what}: {file.path} holds {how} of {what}, and the images are not so: they must be split alike.")
    values = {split: file.read(key) for split, key in keys.items() if split in images}
    for split, array in values.items():
        count = len(array) if array.ndim else 1
        if count != len(images[split]):
            where = f" of {split}" if split else ""
            raise UserError(
                f"There are {len(images[split]):,} images{where} but {count:,} {what if count != 1 else what[:-1]}: "
                f"data.{what} must have one for each image."
            )
    return values


def _numbers(array: np.ndarray) -> Tensor:
    """Targets, float32 (N, D)."""
    if array.dtype.kind not in "buif" or array.ndim not in (1, 2):
        raise UserError(f"data.targets are {array.dtype} {array.shape}: they must be numbers, (N,) or (N, D).")
    if array.dtype.kind == "f":
        check_finite(array, 0, "data.targets")
    return torch.from_numpy(array.astype(np.float32)).view(len(array), -1)
