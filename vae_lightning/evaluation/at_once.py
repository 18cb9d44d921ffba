"""How many images are encoded or decoded at once: the one place that bounds the memory of an evaluation.

Noise is keyed by example, so that splitting a batch changes no value. What cannot be split is refused before it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from vae_lightning.data.images import Batch
from vae_lightning.errors import InvalidValue, RunError
from vae_lightning.memory import fits, format_bytes

MOST_PIXELS = 2**26  # of all images together, with their colours: some copies in float32 take 1 GB


def images_at_once(shape: tuple[int, ...], wanted: int, each: int = 1) -> int:
    """Return how many images to compute at once: `wanted`, or as many as have at most 2²⁶ pixels together, and at least one.

    Args:
        shape: of an image, (channels, height, width).
        wanted: how many the user asks for.
        each: how many decoded images belong to one of them, such as the chains of AIS.
    """
    return max(1, min(wanted, MOST_PIXELS // (math.prod(shape) * each)))


def split_batches(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Split batches into batches of at most `size`."""
    for batch in batches:
        yield from map(Batch._make, zip(*(part.split(size) for part in batch), strict=True))


def check_images(name: str, value: int, shape: tuple[int, ...]) -> None:
    """Refuse a setting that counts images which have to be computed at once.

    Args:
        name: of the setting.
        value: how many images.
        shape: of an image.

    Raises:
        InvalidValue: they have more than 2²⁶ pixels together.
    """
    most = images_at_once(shape, value)
    if value > most:
        raise InvalidValue(name, value, f"at most {most:,} with images of {math.prod(shape):,} pixels, computed at once")


def check_numbers(name: str, value: int, numbers: int) -> None:
    """Refuse a setting that makes an array too large for the free memory.

    Args:
        name: of the setting.
        value: what it is set to.
        numbers: how many float64 numbers are in memory then.

    Raises:
        RunError: they do not fit.
    """
    if not fits(8 * numbers):
        raise RunError(f"{name}={value}: needs {format_bytes(8 * numbers)}, which do not fit into the free memory: lower it.")
