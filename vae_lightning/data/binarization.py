"""From grey pixels x in {0 … 255} to what the encoder sees, under `data.binarize`.

| mode | training | validation and test |
|---|---|---|
| dynamic | Bernoulli(x/255) drawn anew each time (Burda et al. 2016) | drawn once, seeded, keyed by example |
| static | drawn once, seeded | drawn once, seeded, keyed by example |
| threshold | x ≥ 128 | x ≥ 128 |
| none | x/255 | x/255 |
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from vae_lightning.data.base import SPLITS
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue
from vae_lightning.noise import ExampleNoise, derive_seed

_CHUNK = 2000  # images binarised at a time, to bound the memory of the 64-bit noise


def resolve_binarization(binarize: str, binary_likelihood: bool) -> str:
    """What `auto` means for this likelihood; raises InvalidValue if data and likelihood are incompatible."""
    if binarize == "auto":
        return "dynamic" if binary_likelihood else "none"
    if binarize != "none" and not binary_likelihood:
        raise InvalidValue("binarize", binarize, "auto or none, since this likelihood is for grey pixels")
    return binarize


def prepare_splits(splits: dict[str, Images], mode: str, seed: int, *, training: bool = False) -> dict[str, Images]:
    """Binarise whatever is binarised only once (to pixels 0 and 255).

    With `training`, dynamically binarised training images stay grey, since each step draws them anew.
    """
    return {
        name: split if training and mode == "dynamic" and name == "train" else _prepare_split(split, mode, seed, name)
        for name, split in splits.items()
    }


def _prepare_split(split: Images, mode: str, seed: int, name: str) -> Images:
    if mode == "none":
        return split
    if mode == "threshold":
        return split.prepared(_threshold)
    return split.prepared(partial(_binarize, seed=_split_seed(seed, name)), _CHUNK)


def binarize_batch(images: Tensor, examples: Tensor, split: str, seed: int = 0) -> Tensor:
    """Pixels 0 and 255 of a batch of val or test, drawn as `prepare_splits` draws those of the whole split.

    Args:
        images: uint8, (batch, …).
        examples: the index of each image in the split, (batch,).
        split: its name.
        seed: the `split_seed` of the data set.
    """
    return _binarize(images, examples, _split_seed(seed, split))


def _split_seed(seed: int, name: str) -> int:
    return derive_seed(seed, "binarize", SPLITS.index(name))


class BernoulliPixels:
    """Draws b ~ Bernoulli(x/255) per pixel, float32 in {0, 1}, from uint8 x of shape (batch, …).

    b = [r < x] with r uniform on {0 … 254}: 8 random bits per pixel, and where they are 255, a number in {0 … 254} that the
    pixels of an image share. So P(b = 1) is exactly x/255 and images are independent. Two pixels of one image are nearly so:
    both need the shared number once in 2^16 times, and their covariance is at most 2^-18. It takes less than a tenth of the
    time of `torch.bernoulli`. The draws depend on the generator alone; memory is reused from one batch to the next of the same
    shape.
    """

    def __init__(self) -> None:
        self._made_for: tuple[torch.Size, torch.device] | None = None

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self._made_for != (images.shape, images.device):
            self._make_room(images)
        self._draws.random_(-(2**63), None, generator=generator)
        self._shared.random_(1, 256, generator=generator)
        # comparisons write numbers directly: going through bool takes ten times as long on a CPU
        torch.eq(self._r, 255, out=self._missing)
        self._r.add_(self._missing.mul_(self._shared))  # 255 + shared is shared − 1 in uint8
        return torch.lt(self._r, images, out=torch.empty(images.shape, device=images.device))

    def _make_room(self, images: Tensor) -> None:
        self._made_for, count = (images.shape, images.device), images.numel()
        self._draws = torch.empty(-(-count // 8), dtype=torch.int64, device=images.device)  # eight pixels each
        self._r = self._draws.view(torch.uint8)[:count].view(images.shape)
        self._missing = torch.empty_like(self._r)
        self._shared = self._r.new_empty(len(images), *[1] * (images.dim() - 1))


def bernoulli_pixels(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one batch with `BernoulliPixels`."""
    return BernoulliPixels()(images, generator)


def _threshold(images: Tensor, examples: Tensor) -> Tensor:
    return (images >= 128).to(torch.uint8) * 255


def _binarize(images: Tensor, examples: Tensor, seed: int) -> Tensor:
    """Bernoulli(x/255) drawn once for each pixel, as a function of the seed and the example."""
    if ((images == 0) | (images == 255)).all():  # nothing to draw
        return images
    grey = images.float() / 255
    return (ExampleNoise(examples, seed).uniform(grey) < grey).to(torch.uint8) * 255
