"""What is checked of one's own data, at one place: values that are no numbers, images that show nothing, images in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vae_lightning.data.base import SPLITS
from vae_lightning.data.images import Images, chunk_size
from vae_lightning.errors import UserError

FEW_VALUES = 16  # rows of fewer values may well be equal by chance


def check_images(images: Tensor, name: str = "data.images") -> list[str]:
    """Checks all images, before they are split, in chunks.

    Args:
        images: (N, C, H, W), uint8 or float.
        name: what they are called in messages: the key of the configuration, or the file.

    Returns:
        Notes: how many images are constant, if any.

    Raises:
        UserError: there are none, or one holds NaN or infinity.
    """
    if images.numel() == 0:
        raise UserError(f"{name}: there are no images (an array of shape {tuple(images.shape)}).")
    constant, zero, first = 0, 0, None
    size = chunk_size(images)
    for start in range(0, len(images), size):
        part = images[start : start + size].flatten(1)
        low, high = part.amin(1), part.amax(1)
        if part.is_floating_point():
            _check_finite(low, high, start, name)
        same = low == high
        if first is None and same.any():
            first = start + int(same.nonzero()[0])
        constant, zero = constant + int(same.sum()), zero + int((same & (low == 0)).sum())
    if not constant or images[0].numel() == 1:
        return []
    zeros = f", {zero:,} of them all zero" if 0 < zero < constant else ", all zero" if zero else ""
    are = "is" if constant == 1 else "are"
    return [f"{constant:,} of {len(images):,} images {are} constant{zeros} (the first is number {first}, counted from 0)."]


def _check_finite(low: Tensor, high: Tensor, start: int, name: str) -> None:
    """UserError if an extreme of an image is NaN or infinite; amin and amax of values with a NaN are NaN."""
    odd = ~(torch.isfinite(low) & torch.isfinite(high))
    if odd.any():
        index = int(odd.nonzero()[0])
        what = "NaN" if torch.isnan(low[index]) else "infinity"
        raise UserError(f"{name}: image {start + index} (counted from 0) holds {what}; all values must be finite.")


def duplicate_notes(splits: Mapping[str, Images], known_hashes: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """A sentence for each pair of splits that share images: how many of the later one are in the earlier one, byte for byte.

    Args:
        splits: the images by split.
        known_hashes: a hash of the pixels of each image, by split; None: they are computed.
    """
    present = [name for name in SPLITS if name in splits]
    if splits[present[0]].stored[0].numel() < FEW_VALUES:
        return []
    seen: dict[str, set[bytes | str]] = {}
    notes = []
    for name in present:
        hashes: Sequence[bytes | str] = _hashes(splits[name]) if known_hashes is None else known_hashes[name]
        for other, known in seen.items():
            shared = sum(digest in known for digest in hashes)
            if shared:
                are = "is" if shared == 1 else "are"
                notes.append(f"{shared:,} of the {len(hashes):,} {name} images {are} in {other} too, byte for byte.")
        seen[name] = set(hashes)
    return notes


def _hashes(images: Images) -> list[bytes]:
    """A hash of the bytes of each image."""
    found = []
    for part in images.chunks():
        rows = part.flatten(1).contiguous().numpy()
        found += [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]
    return found
