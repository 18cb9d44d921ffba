"""Images and their labels, in memory or in a memory map, and what is found out about them a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_lightning.errors import UserError

CHUNK, CHUNK_BYTES = 4096, 256 * 2**20  # images, and bytes, looked at together: a memory map may be larger than the memory
KEPT_BYTES = 2**30  # a part of a memory map that is at most this large is kept in memory once it is binarised


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
