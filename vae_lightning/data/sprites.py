"""`data=sprites`: white shapes on black, generated from five known factors in the style of dSprites (Matthey et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.base import DataSettings, ImageData, stratified_split
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, check_int

FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
GRID = math.prod(FACTORS.values())  # 737,280
SIZES = (64, 32)
_STEPS = 32  # positions along x and along y
_CHUNK = 20_000  # images drawn at once


class Sprites(ImageData):
    """3 shapes × 6 scales × 40 orientations × 32 × 32 positions, as binary images; the label is the shape.

    The splits carry `factors`, in the order shape, scale, orientation, x, y.

    Args:
        images: how many of the 737,280 are drawn from the grid, without repetition, by `split_seed`; None for all of them (3 GB
            of memory at 64×64).
        size: 64 or 32 pixels.

    See `ImageData` for the other arguments.
    """

    kind = "binary"
    categorical_factors = tuple(name == "shape" for name in FACTORS)

    def __init__(
        self,
        images: int | None = 60000,
        size: int = 64,
        val_size: int = 5000,
        test_size: int = 5000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(val_size, **settings)
        self.images = GRID if images is None else check_int("images", images)
        if self.images > GRID:
            raise InvalidValue("images", images, f"at most the {GRID:,} there are, or null for all of them")
        if size not in SIZES:
            raise InvalidValue("size", size, "64 or 32")
        self.size, self.test_size = size, check_int("test_size", test_size)

    def load(self) -> dict[str, Images]:
        indices = np.random.default_rng(self.split_seed).permutation(GRID)[: self.images]
        factors = torch.from_numpy(factors_of(indices))
        split = stratified_split(factors[:, 0].numpy(), {"test": self.test_size, "val": self.val_size}, self.split_seed)
        found = {}
        for name, chosen in split.items():
            mine = factors[torch.from_numpy(chosen)]
            found[name] = Images(render(mine, self.size), mine[:, 0].clone(), mine)
        return found


def factors_of(indices: np.ndarray) -> np.ndarray:
    """The factors (N, 5) of indices 0 … 737,279 in the grid, y fastest; int64."""
    return np.stack(np.unravel_index(indices, tuple(FACTORS.values())), 1).astype(np.int64)


def render(factors: Tensor, size: int = 64) -> Tensor:
    """Images uint8 (N, 1, size, size), 0 or 255, of factors (N, 5).

    A pixel is white where its centre lies in the shape. In 64ths of the image: the centre of the shape goes from 16.5 to 47.5
    in steps of 1 along x and along y, and at full scale no shape reaches further than 16 from it. Scales are 0.5, 0.6 … 1,
    orientations multiples of 9°.
    """
    windows = _windows(size)
    shape, scale, orientation, x, y = factors.unbind(1)
    form = (shape * FACTORS["scale"] + scale) * FACTORS["orientation"] + orientation
    phases = 64 // size  # positions to a pixel
    images = torch.empty(len(factors), 1, size, size, dtype=torch.uint8)
    for part in torch.arange(len(factors)).split(_CHUNK):
        px, py = x[part], y[part]
        last = windows.shape[3] - 1
        images[part, 0] = windows[form[part], py % phases, px % phases, last - py // phases, last - px // phases]
    return images


def _windows(size: int) -> Tensor:
    """Every form, once for each offset within a pixel, on a canvas of which an image is a window.

    uint8, a view of shape (720, phases, phases, places, places, size, size): moving the window moves the shape the other way.
    """
    phases = 64 // size
    shifts = -(-_STEPS // phases)  # whole pixels that a shape moves by
    canvas = size + shifts - 1
    # pixel centres in 64ths of the image, seen from the shape's first position as the last window has it
    centres = (torch.arange(canvas) + 0.5) * phases - 16.5 - (shifts - 1) * phases
    offsets = centres - torch.arange(phases).unsqueeze(1)  # (phases, canvas)
    v, u = offsets.view(phases, 1, -1, 1), offsets.view(1, phases, 1, -1)
    forms = []
    for inside in SHAPES:
        for scale in torch.linspace(0.5, 1, FACTORS["scale"]).tolist():
            for step in range(FACTORS["orientation"]):
                angle = 2 * math.pi * step / FACTORS["orientation"]
                a, b = u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)
                forms.append(inside(a / scale, -b / scale))
    white = torch.stack(forms).to(torch.uint8) * 255
    return white.unfold(3, size, 1).unfold(4, size, 1)


def _square(a: Tensor, b: Tensor) -> Tensor:
    return (a.abs() <= 10.5) & (b.abs() <= 10.5)


def _ellipse(a: Tensor, b: Tensor) -> Tensor:
    return (a / 14) ** 2 + (b / 8) ** 2 <= 1


def _heart(a: Tensor, b: Tensor) -> Tensor:
    """(a² + b² − 1)³ ≤ a² b³, b upwards."""
    a, b = a / 11, b / 11 + 0.1
    return (a**2 + b**2 - 1) ** 3 <= a**2 * b**3


SHAPES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (_square, _ellipse, _heart)
