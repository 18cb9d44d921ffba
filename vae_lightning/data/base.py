"""The base class of data sets: images and labels in memory, split into train, val and test with a seed. No Lightning here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.stratified import stratified_split as stratified_split  # where data sets look for it
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, check_seed

SPLITS = ("train", "val", "test")
CHUNK, CHUNK_BYTES = 4096, 256 * 2**20  # images, and bytes, looked at together: a memory map may be larger than the memory
MAX_WORKERS = 256  # each is a process: a typo must not start thousands
KEPT_BYTES = 2**30  # a part of a memory map that is at most this large is kept in memory once it is binarised
KINDS = ("binary", "grey", "colour", "real")
BINARIZE = ("auto", "dynamic", "static", "threshold", "none")


class Batch(NamedTuple):
    """One batch: `images` uint8 (batch, C, H, W); `labels` and `examples` int64 (batch,).

    `examples` are the indices in the split, which key the noise. The label of an image without one is −1.
    """

    images: Tensor
    labels: Tensor
    examples: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`; itself if it is there already."""
        return self if device == self.images.device else Batch(*(part.to(device, non_blocking=True) for part in self))


class Images(torch.utils.data.Dataset[Batch]):
    """One split; indexing it with a tensor of indices gives a whole batch in one operation.

    Args:
        images: uint8, (N, C, H, W), in memory or in a memory map; real-valued data are float32, (N, 1, 1, D).
        labels: int64, (N,); −1 for an image without a label.
        factors: the ground-truth factors that the images were made from, if known: int64 (N, factors), each counted from 0.
        targets: numbers that belong to the images, which only conditions read: float32 (N, D).
        index: which of `images` the split has, in its order, int64 (N,); None: all of them. So several splits share one memory
            map, of which only the batches that are served are read into memory.
        prepare: (images, examples) → images; applied to each batch.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        factors: Tensor | None = None,
        targets: Tensor | None = None,
        index: Tensor | None = None,
        prepare: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.stored, self.labels, self.factors, self.targets = images, labels, factors, targets
        self.index, self.prepare = index, prepare

    @property
    def images(self) -> Tensor:
        """All images of the split. Of a split with an `index` this is a copy in memory: see `chunks`."""
        whole = self.index is None and self.prepare is None
        return self.stored if whole else self[torch.arange(len(self))].images

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.stored.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        return len(self.stored if self.index is None else self.index)

    def __getitem__(self, examples: Tensor) -> Batch:
        # index_select is five times as fast as indexing
        places = examples if self.index is None else self.index.index_select(0, examples)
        images = self.stored.index_select(0, places)
        if self.prepare is not None:
            images = self.prepare(images, examples)
        return Batch(images, self.labels.index_select(0, examples), examples)

    def first(self, count: int) -> Batch:
        """The first `count` images, or all if there are fewer."""
        return self[torch.arange(min(count, len(self)))]

    def chunks(self, most: int | None = None) -> Iterator[Tensor]:
        """All images in order, a few at a time (at most `most`), so that a split larger than the memory can be read."""
        size = chunk_size(self.stored, most)
        if self.index is None and self.prepare is None:
            yield from self.stored.split(size)
        else:
            yield from (self[examples].images for examples in torch.arange(len(self)).split(size))

    def prepared(self, prepare: Callable[[Tensor, Tensor], Tensor], most: int | None = None) -> Images:
        """The split with `prepare` applied to its images: once, or to each batch where it is a large part of a memory map.

        Args:
            prepare: (images, examples) → images of the same shape and dtype; the same for an image in any batch.
            most: images that are prepared together.
        """
        stored, examples = self.stored, torch.arange(len(self))
        if self.index is not None and len(self) * stored[0].numel() * stored.element_size() > KEPT_BYTES:
            return Images(stored, self.labels, self.factors, self.targets, self.index, prepare)
        made, first = torch.empty(len(self), *stored.shape[1:], dtype=stored.dtype), 0
        for part in self.chunks(most):
            made[first : first + len(part)] = prepare(part, examples[first : first + len(part)])
            first += len(part)
        return Images(made, self.labels, self.factors, self.targets)

    def evenly_spaced(self, count: int) -> Tensor:
        """At most `count` indices spread over the split, since the first ones of a stratified split lack some classes."""
        count = min(count, len(self))
        return torch.arange(count) * len(self) // count


@dataclass(frozen=True)
class DataSpec:
    """What a model needs to know about its data; kept in the run, so that the model can be rebuilt without the data.

    Attributes:
        shape: (channels, height, width).
        mean: of all training pixels, in [0, 1].
        train_size: number of training images.
        classes: number of labels, 0 to classes − 1; None if some image has no label.
        kind: binary, grey, colour or real; None in runs that were made before kinds were recorded.
        class_names: the names of labels 0, 1 …; None if they have none.
    """

    shape: tuple[int, int, int]
    mean: float
    train_size: int
    classes: int | None = None
    kind: str | None = None
    class_names: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        names = None if self.class_names is None else list(self.class_names)
        return {**asdict(self), "shape": list(self.shape), "class_names": names}

    @classmethod
    def from_dict(cls, data_spec: dict[str, Any]) -> DataSpec:
        names = data_spec.get("class_names")
        return cls(
            tuple(data_spec["shape"]),
            float(data_spec["mean"]),
            int(data_spec["train_size"]),
            data_spec.get("classes"),
            data_spec.get("kind"),
            None if names is None else tuple(map(str, names)),
        )


class ImageData(ABC):
    """A data set with its splits and the settings of its loaders.

    Attributes:
        categorical_factors: for splits with `factors`: for each factor, whether its values are categories rather than quantities.
        kind: binary (also of grey pixels that the literature reads as probabilities), grey, colour or real; None: as the
            images show. The likelihood that is left at its default follows it.
        class_names: the names of labels 0, 1 …, if they have any.
        mean: of all training pixels, in [0, 1]; None: as `mean_pixel` finds it.
        notes: what a person should know about how the data were read, one sentence each; printed when a run starts.

    Args:
        val_size: images held out for validation.
        split_seed: seed of the split; not the run's seed, so that runs that differ in `seed` see the same images.
        binarize: see `data.binarization`.
        batch_size: images per training batch, in each process.
        eval_batch_size: affects speed and memory only.
        num_workers: of the DataLoaders (0 is fastest, since a batch is one index operation).
        drop_last: leave out a last training batch that is not full.
    """

    categorical_factors: ClassVar[tuple[bool, ...]] = ()
    kind: str | None = None
    class_names: tuple[str, ...] | None = None
    mean: float | None = None

    def __init__(
        self,
        val_size: int,
        split_seed: int = 0,
        binarize: str = "auto",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        num_workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.val_size = check_int("val_size", val_size)
        self.split_seed = check_seed("split_seed", split_seed)
        self.binarize = check_choice("binarize", binarize, BINARIZE)
        self.batch_size = check_int("batch_size", batch_size)
        self.eval_batch_size = check_int("eval_batch_size", eval_batch_size)
        self.num_workers = check_int("num_workers", num_workers, 0, MAX_WORKERS)
        self.drop_last = check_bool("drop_last", drop_last)
        self.notes: list[str] = []
        self._splits: dict[str, Images] | None = None

    @abstractmethod
    def load(self) -> dict[str, Images]:
        """The three splits by name; called once."""

    def splits(self) -> dict[str, Images]:
        """Train, val and test by name, loaded on first use; raises UserError if they are inconsistent."""
        if self._splits is None:
            self._splits = _checked(self.load(), type(self).__name__)
        return self._splits

    def adopt(self, other: ImageData) -> None:
        """Use what a data set with the same arguments has loaded."""
        self._splits, self.kind, self.class_names, self.notes = other.splits(), other.kind, other.class_names, other.notes
        self.mean = other.mean

    def spec(self) -> DataSpec:
        train = self.splits()["train"]
        labels = torch.cat([split.labels for split in self.splits().values()])
        classes = int(labels.max()) + 1 if labels.min() >= 0 else None
        return DataSpec(
            train.shape,
            mean_pixel(train) if self.mean is None else self.mean,
            len(train),
            classes,
            self.kind or kind_of(train),
            self.class_names,
        )


def chunk_size(images: Tensor, most: int | None = None) -> int:
    """How many of `images` to look at together: at most `CHUNK` and `most`, and at most `CHUNK_BYTES`."""
    size = images[0].numel() * images.element_size() if len(images) else 1
    return max(1, min(CHUNK, most or CHUNK, CHUNK_BYTES // max(1, size)))


def chunks_of(images: Tensor | Images) -> Iterator[Tensor]:
    """Images in order, a few at a time."""
    return images.chunks() if isinstance(images, Images) else iter(images.split(chunk_size(images)))


def kind_of(images: Tensor | Images) -> str:
    """What images (N, C, H, W) are: real (float32), colour (more than one channel), binary (pixels 0 and 255 only) or grey."""
    stored = images.stored if isinstance(images, Images) else images
    if stored.is_floating_point():
        return "real"
    if stored.shape[1] > 1:
        return "colour"
    return "binary" if all(bool(((part == 0) | (part == 255)).all()) for part in chunks_of(images)) else "grey"


def mean_pixel(images: Tensor | Images) -> float:
    """The mean of all pixels, uint8 as parts of 255. Summed in chunks, as integers: exact, and without a float32 copy."""
    total, count, real = 0.0, 0, False
    for part in chunks_of(images):
        real = part.is_floating_point()
        total += float(part.double().sum()) if real else int(part.numpy().sum(dtype=np.int64))
        count += part.numel()
    return total / count if real else total / count / 255


def _checked(splits: dict[str, Images], name: str) -> dict[str, Images]:
    """The splits, after checking that a model trained on one can be measured on the others."""
    if set(splits) != set(SPLITS):
        raise UserError(f"{name} loads the splits {', '.join(splits) or 'none'} instead of {', '.join(SPLITS)}.")
    shapes = {split: tuple(images.stored.shape[1:]) for split, images in splits.items()}
    if len(set(shapes.values())) > 1 or any(len(images) == 0 for images in splits.values()):
        found = ", ".join(f"{split} {len(splits[split])} × {shape}" for split, shape in shapes.items())
        raise UserError(
            f"The splits of {name} must be non-empty and share one image shape (channels, height, width); found {found}."
        )
    return splits


def images_from_arrays(images: np.ndarray, labels: np.ndarray) -> Images:
    """A split from uint8 images (N, H, W) or (N, H, W, C) and integer labels (N,)."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise UserError(f"Images must be uint8 of shape (N, H, W) or (N, H, W, C), not {images.dtype} {images.shape}.")
    if len(images) != len(labels):
        raise UserError(f"There are {len(images)} images but {len(labels)} labels.")
    if labels.ndim != 1:
        raise UserError(f"Labels must be one integer for each image, not an array of shape {labels.shape}.")
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"]))  # torch warns about read-only arrays
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return Images(pixels, torch.from_numpy(labels.astype(np.int64)))


def pixels(images: Tensor) -> Tensor:
    """Convert images to what the encoder takes: uint8 to float32 in [0, 1]; float32, which real-valued data are, as they are."""
    return images if images.is_floating_point() else images.float() * (1 / 255)
