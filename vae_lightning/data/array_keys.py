"""Which arrays of a file are images, labels or targets, and of which split: `x_train`, `train/labels`, `test_images`."""

from __future__ import annotations

import re

from vae_lightning.data.array_files import ArrayFile
from vae_lightning.data.base import SPLITS
from vae_lightning.errors import UserError, printable

WHOLE = ""  # instead of the name of a split: the array is not split yet
IMAGES = ("images", "image", "imgs", "x", "data", "pixels", "features", "signals", "0")
LABELS = ("labels", "label", "y", "classes", "1")
TARGETS = ("targets", "target", "t")
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test",
    "testing": "test",
}  # fmt: skip


def find_keys(file: ArrayFile, words: tuple[str, ...], key: str | None, option: str, alone: bool = True) -> dict[str, str]:
    """The keys of the arrays that are wanted, by split, or one key under `WHOLE`; empty if there are none.

    Args:
        file: where to look.
        words: what the arrays may be called, the likeliest first.
        key: the name, if it was said.
        option: the setting that says it, for messages, such as `data.images_key`.
        alone: whether the only array of a file is the one, whatever it is called.

    Raises:
        UserError: no array has the name that was said.
    """
    if key is not None:
        return {WHOLE: file.choose(key, option)}
    keys = list(file.readers)
    if alone and len(keys) == 1:
        return {WHOLE: keys[0]}
    for word in words:
        named = {split: key for split in SPLITS for key in keys if _reads(key, word) == split}
        if "train" in named:
            return named
    whole = (key for word in words for key in keys if _reads(key, word) == WHOLE)
    found = next(whole, None)
    return {} if found is None else {WHOLE: found}


def require_keys(file: ArrayFile, words: tuple[str, ...], key: str | None, option: str) -> dict[str, str]:
    """As `find_keys`; UserError, with the names of the arrays, if none is the one that is wanted."""
    found = find_keys(file, words, key, option)
    if not found:
        there = ", ".join(map(printable, list(file.readers)[:12]))
        raise UserError(f"{file.path} holds {len(file.readers)} arrays, {there}: say which one with {option}=….")
    return found


def _reads(key: str, word: str) -> str | None:
    """The split in a key that is made of `word` and a split, in any order; `WHOLE` if it is just the word; None if neither."""
    parts = [part for part in re.split(r"[^a-z0-9]+", key.lower()) if part]
    if parts == [word]:
        return WHOLE
    if len(parts) != 2 or word not in parts:
        return None
    return SPLIT_WORDS.get(parts[1 - parts.index(word)])
