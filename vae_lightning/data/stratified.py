"""Seeded splits that keep the share of each class."""

from __future__ import annotations

import numpy as np

from vae_lightning.errors import InvalidValue


def stratified_split(labels: np.ndarray, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Shuffled indices of each split, with each class in proportion to its share (rounding by largest remainders).

    Args:
        labels: class of each image, (N,).
        sizes: of the splits, in the order in which they are taken; the rest goes to "train".
        seed: of the shuffle.

    Raises:
        InvalidValue: a split leaves no images over.
    """
    rng = np.random.default_rng(seed)
    left = rng.permutation(len(labels))
    indices = {}
    for name, size in sizes.items():
        if size >= len(left):
            raise InvalidValue(f"{name}_size", size, f"less than the {len(left)} images there are to split")
        taken = _take_stratified(labels[left], size)
        indices[name], left = left[taken], left[~taken]
    return {"train": left, **indices}


def _take_stratified(labels: np.ndarray, size: int) -> np.ndarray:
    """A mask over `labels` that selects `size` indices, the first ones of each class."""
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    exact = counts * size / len(labels)
    quota = np.floor(exact).astype(int)
    largest = np.argsort(quota - exact, kind="stable")[: size - quota.sum()]
    quota[largest] += 1
    taken = np.zeros(len(labels), dtype=bool)
    for c in range(len(classes)):
        taken[np.flatnonzero(inverse == c)[: quota[c]]] = True
    return taken
