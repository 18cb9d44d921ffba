"""From grey pixels x in {0 … 255} to what the encoder sees, under `data.binarize`.

| mode | training | validation and test |
|---|---|---|
| dynamic | Bernoulli(x/255) drawn anew each time (Burda et al. 2016) | drawn once, seeded, keyed by example |
| static | drawn once, seeded | drawn once, seeded, keyed by example |
| threshold | x ≥ 128 | x ≥ 128 |
| none | x/255 | x/255 |
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.data.base import SPLITS, Images
from vae_lightning.errors import InvalidValue
from vae_lightning.noise import ExampleNoise, key

_CHUNK = 2000  # images binarised at once: bounds the memory of the 64-bit noise


def resolve(binarize: str, binary_likelihood: bool) -> str:
    """What `auto` stands for under this likelihood; InvalidValue where data and likelihood do not go together."""
    if binarize == "auto":
        return "dynamic" if binary_likelihood else "none"
    if binarize != "none" and not binary_likelihood:
        raise InvalidValue("binarize", binarize, "auto or none, since this likelihood is one of grey pixels")
    return binarize


def prepare(splits: dict[str, Images], mode: str, seed: int, *, training: bool = False) -> dict[str, Images]:
    """The splits with all that is binarised once done (pixels 0 and 255).

    With `training`, dynamic training images stay grey, since each step draws them anew.
    """
    return {
        name: split if training and mode == "dynamic" and name == "train" else _prepare_split(split, mode, seed, name)
        for name, split in splits.items()
    }


def _prepare_split(split: Images, mode: str, seed: int, name: str) -> Images:
    if mode == "none":
        return split
    if mode == "threshold":
        return Images((split.images >= 128).to(torch.uint8) * 255, split.labels, split.factors)
    return Images(_binarize_once(split.images, key(seed, "binarize", SPLITS.index(name))), split.labels, split.factors)


def bernoulli_pixels(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draws b ~ Bernoulli(x/255) per pixel, float32 in {0, 1}, from uint8 x of shape (batch, …).

    b = [r < x] with r uniform on {0 … 254}: 8 random bits a pixel, and where they are 255 a number of {0 … 254} that the pixels
    of an image share. So P(b = 1) is x/255 exactly, images are independent, and two pixels of one image all but so: both need
    the shared number once in 2^16 times, their covariance is at most 2^-18. A tenth of the time of `torch.bernoulli`.
    """
    draws = torch.empty(-(-images.numel() // 8), dtype=torch.int64, device=images.device)
    draws.random_(-(2**63), None, generator=generator)
    r = draws.view(torch.uint8)[: images.numel()].view(images.shape)
    shape = (len(images), *[1] * (images.dim() - 1))
    shared = torch.randint(0, 255, shape, dtype=torch.uint8, device=images.device, generator=generator)
    # comparisons are written as numbers at once: by way of bool they take ten times as long on a CPU
    missing = torch.eq(r, 255, out=torch.empty_like(r))
    r = missing.mul_(shared + 1).add_(r)  # 255 + shared + 1 is `shared` in uint8
    return torch.lt(r, images, out=torch.empty(r.shape, device=r.device))


def _binarize_once(images: Tensor, seed: int) -> Tensor:
    chunks = []
    for first in range(0, len(images), _CHUNK):
        part = images[first : first + _CHUNK]
        if ((part == 0) | (part == 255)).all():  # nothing to draw
            chunks.append(part)
            continue
        grey = part.float() / 255
        examples = torch.arange(first, first + len(grey))
        chunks.append((ExampleNoise(examples, seed).uniform(grey) < grey).to(torch.uint8) * 255)
    return torch.cat(chunks)
