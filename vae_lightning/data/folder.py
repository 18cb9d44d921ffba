"""`data=folder`: one's own pictures, in a folder, in folders of classes, or in train, val and test folders."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np
import torch

from vae_lightning.data.base import SPLITS, DataSettings
from vae_lightning.data.checks import duplicate_notes
from vae_lightning.data.decode import BACKGROUNDS, CHANNELS, Settings
from vae_lightning.data.image_cache import GB, Entry, cached_images, state_of
from vae_lightning.data.images import Images
from vae_lightning.data.own_splits import OwnData, own_split
from vae_lightning.data.scan import Layout, PictureFile, read_layout, scan_folder, skipped_note
from vae_lightning.errors import InvalidValue, UserError, check_choice, check_int, check_number, printable
from vae_lightning.files import cache_folder

BROKEN = ("stop", "skip")
LARGEST_SIDE = 8192
SHOWN = 6  # classes that a note names


class Folder(OwnData):
    """Pictures in a folder: PNG, JPEG, WebP, GIF, BMP or TIFF.

    The pictures lie in a flat folder, which gives them no labels, in a folder for each class, or in the folders train, val (or
    valid, validation) and test, of which each may have folders of classes. Splits without a folder are taken from the training
    images. All pictures are decoded once, into a memory map in the cache, of which only the batches that are served are read.

    Args:
        root: the folder.
        size: the pictures' height and width: the shorter side is resized, and the rest is cropped around the centre; an integer
            or [height, width]; None: as they are, if all have one size.
        channels: `rgb`, `grey`, or `auto`: rgb if any picture has colour.
        background: `white` or `black`, which shows through where a picture is transparent.
        broken: whether a picture that cannot be decoded is an error (`stop`) or is left out (`skip`).
        cache: the folder of the decoded pictures; None: `vae_lightning/images` in the user's cache folder.
        cache_limit: its size in GB (10⁹ bytes); what was not used for longest is deleted first.

    See `OwnData` for the other arguments.
    """

    def __init__(
        self,
        root: str | None = None,
        size: int | Sequence[int] | None = None,
        channels: str = "auto",
        background: str = "white",
        broken: str = "stop",
        cache: str | None = None,
        cache_limit: float = 50,
        val_size: float = 0.1,
        test_size: float = 0.1,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(val_size, test_size, **settings)
        if not isinstance(root, str) or not root:
            raise InvalidValue("root", root, "the folder of your pictures")
        if cache is not None and (not isinstance(cache, str) or not cache):
            raise InvalidValue("cache", cache, "a folder, or null for the user's cache folder")
        self.root = root
        check_choice("channels", channels, CHANNELS)
        self.settings = Settings(_check_size(size), channels, check_choice("background", background, tuple(BACKGROUNDS)))
        self.broken = check_choice("broken", broken, BROKEN)
        self.cache = cache_folder(None) / "images" if cache is None else cache_folder(cache)
        self.cache_limit = check_number("cache_limit", cache_limit, 0, above=True)

    def file_state(self) -> Hashable:
        return state_of(scan_folder(self._folder()).pictures)

    def _folder(self) -> Path:
        return Path(os.path.realpath(Path(self.root).expanduser()))

    def load(self) -> dict[str, Images]:
        """The three splits, as parts of one memory map."""
        root = self._folder()
        pictures, skipped = scan_folder(root)
        if not pictures:
            there = f", but {skipped_note(skipped)[:-1]}" if skipped else ""
            raise UserError(f"data.root={printable(str(root))} holds no pictures (PNG, JPEG, WebP, GIF, BMP or TIFF){there}.")
        layout = read_layout(root, pictures)
        entry = cached_images(root, pictures, self.settings, self.cache.absolute(), self.cache_limit * GB)
        _check_broken(root, pictures, entry.manifest.broken, self.broken)
        kept = _without(layout, {index for index, _ in entry.manifest.broken})
        indices = self._split(kept)
        labels = torch.tensor(kept.labels, dtype=torch.int64)
        splits = {}
        for name in SPLITS:
            index = torch.from_numpy(indices[name])
            splits[name] = Images(entry.images, labels[index], index=index)
        self._describe(entry, kept, indices)
        hashes = {name: [entry.manifest.hashes[i] for i in index] for name, index in indices.items()}
        self.notes = [
            *([skipped_note(skipped)] if skipped else []),
            *_notes(entry, kept, pictures, self.settings),
            *duplicate_notes(splits, hashes),
        ]
        return splits

    def _split(self, layout: Layout) -> dict[str, np.ndarray]:
        """Indices of each split: as the folders say, and what they do not say from the training images."""
        labels = np.array(layout.labels)
        named = np.array(["train"] * len(labels) if layout.splits is None else layout.splits)
        indices = {name: np.flatnonzero(named == name) for name in SPLITS}
        train = indices.pop("train")
        indices = {name: found for name, found in indices.items() if len(found)}
        if not len(train):
            raise UserError("data.root holds no picture for training that can be decoded.")
        absent = {name: size for name, size in self.sizes.items() if name not in indices}
        rng = np.random.default_rng(self.split_seed)  # the first images of a split are shown: not all of one class
        indices = {name: rng.permutation(found) for name, found in indices.items()}
        mine = labels[train]
        cut = own_split(len(train), mine if (mine >= 0).any() else None, absent, self.split_seed)
        return {**indices, **{name: train[places] for name, places in cut.items()}}

    def _describe(self, entry: Entry, layout: Layout, indices: dict[str, np.ndarray]) -> None:
        """Sets what can be known of the images without reading them."""
        manifest = entry.manifest
        channels, height, width = manifest.shape[1:]
        self.kind = "colour" if channels == 3 else "binary" if manifest.binary else "grey"
        self.class_names = layout.names or None
        total = sum(manifest.totals[i] for i in indices["train"])
        self.mean = total / (255 * len(indices["train"]) * channels * height * width)


def _check_size(size: object) -> tuple[int, int] | None:
    """(height, width) from an integer, [height, width] or None; else InvalidValue."""
    if size is None:
        return None
    sides = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    try:
        height, width = (check_int("size", side, 1, LARGEST_SIDE) for side in sides)
    except ValueError:  # InvalidValue is one
        allowed = f"a number of pixels from 1 to {LARGEST_SIDE}, [height,width], or null for pictures of one size"
        raise InvalidValue("size", size, allowed) from None
    return height, width


def _check_broken(root: Path, pictures: Sequence[PictureFile], broken: Sequence[tuple[int, str]], choice: str) -> None:
    if not broken or (choice == "skip" and len(broken) < len(pictures)):
        return
    index, reason = broken[0]
    first = printable(str(root.joinpath(*pictures[index].parts)))
    if len(broken) == len(pictures) > 1:
        raise UserError(f"None of the {len(pictures):,} pictures can be decoded, the first being {first} ({printable(reason)}).")
    more = len(broken) - 1
    others = "" if not more else ", and so is 1 other" if more == 1 else f", and so are {more:,} others of the {len(pictures):,}"
    raise UserError(
        f"{first} is broken ({printable(reason)}){others}: replace or remove what is broken, or set data.broken=skip."
    )


def _without(layout: Layout, broken: set[int]) -> Layout:
    """The layout of the pictures that are not broken."""
    kept = [i for i in range(len(layout.labels)) if i not in broken]
    splits = None if layout.splits is None else [layout.splits[i] for i in kept]
    return Layout(splits, [layout.labels[i] for i in kept], layout.names)


class _Count(NamedTuple):
    """`3 pictures are`, `1 picture is`."""

    number: int

    def __str__(self) -> str:
        return "1 picture is" if self.number == 1 else f"{self.number:,} pictures are"


def _notes(entry: Entry, layout: Layout, pictures: Sequence[PictureFile], settings: Settings) -> list[str]:
    """What a person should know about how the pictures were read."""
    manifest, notes = entry.manifest, []
    if layout.names:
        shown = [*layout.names[: SHOWN - 2], "…", layout.names[-1]] if len(layout.names) > SHOWN else layout.names
        notes.append(f"{len(layout.names):,} {'classes' if len(layout.names) > 1 else 'class'}: {', '.join(shown)}.")
        if unlabelled := layout.labels.count(-1):
            notes.append(f"{_Count(unlabelled)} in no folder of a class, and without a label.")
    if manifest.transparent:
        notes.append(f"{_Count(manifest.transparent)} transparent, and laid over {settings.background} (data.background).")
    if manifest.frames:
        notes.append(f"{_Count(manifest.frames)} animated or of several pages, of which the first is taken.")
    if manifest.broken:
        name = pictures[manifest.broken[0][0]].name
        notes.append(f"{_Count(len(manifest.broken))} broken and left out (the first is {name}).")
    if manifest.constant:
        broken = {index for index, _ in manifest.broken}
        files = [picture for index, picture in enumerate(pictures) if index not in broken]
        notes.append(
            f"{_Count(len(manifest.constant))} of one colour throughout (the first is {files[manifest.constant[0]].name})."
        )
    if entry.made:
        size = entry.images.numel() / 1e6
        notes.append(f"Decoded into {printable(str(entry.folder))} ({size:,.1f} MB), from where later runs read them.")
    return notes
