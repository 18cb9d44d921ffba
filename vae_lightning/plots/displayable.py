"""Images with any number of channels, made displayable."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from torch import Tensor

Pixels = TypeVar("Pixels", Tensor, np.ndarray)


def displayable(images: Pixels) -> Pixels:
    """(…, C, H, W) unchanged if grey (C = 1) or RGB (3); else (…, 1, H, C·W), the channels side by side in grey."""
    *leading, channels, height, width = images.shape
    if channels in (1, 3):
        return images
    return images.swapaxes(-3, -2).reshape(*leading, 1, height, channels * width)
