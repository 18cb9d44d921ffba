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
    """Draws b ~ Bernoulli(x/255) per pixel, float32 in {0, 1}, from uint8 x.

    16 random bits a pixel, four pixels to a 64-bit draw, the lowest bit cleared: r is uniform on the even numbers of int16,
    and b = [r < 257·x − 2^15], so that P(b = 1) is x/255 to within 2e-5, and exactly 0 and 1 at the ends. Less than
    half the time of `torch.bernoulli`.
    """
    draws = torch.empty(-(-images.numel() // 4), dtype=torch.int64, device=images.device)
    draws.random_(-(2**63), None, generator=generator)
    r = draws.view(torch.int16)[: images.numel()].view(images.shape).bitwise_and_(-2)
    # written as float32 at once: by way of bool it takes seven times as long on a CPU
    return torch.lt(r, images.to(torch.int16).mul_(257).sub_(2**15), out=torch.empty(r.shape, device=r.device))


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
