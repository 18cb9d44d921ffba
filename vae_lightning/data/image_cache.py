"""Decoded pictures on the disk: each folder of pictures is decoded once, into a memory map beside a manifest.

An entry of the cache is a folder named by a hash of the pictures' folder and of how they are decoded. It holds `manifest.json`,
which names the other file, `images-….npy`. An entry is made anew when a picture file is changed, and when the entry is damaged. A
lock lets one process at a time make or delete it, and the manifest is written last: what a killed process leaves is not used.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.decode import Settings
from vae_lightning.data.decode_all import decode_all
from vae_lightning.data.scan import PictureFile
from vae_lightning.errors import RunError, UserError, is_main_process, printable
from vae_lightning.files import atomic_write, hold_lock, is_locked, try_lock, wait_for_lock
from vae_lightning.readers import check_ordinary, read_json_as

VERSION = 1  # of how pictures are decoded: raise it with any change, so that older entries are no longer used
MANIFEST, LARGEST_MANIFEST = "manifest.json", 2 * 2**30
ENTRY, ARRAY = re.compile(r"[0-9a-f]{16}"), re.compile(r"images-[0-9a-f]{8}\.npy")
GB = 10**9
_IN_USE: dict[Path, object] = {}  # the locks that say which entries this process reads, until it ends


class Manifest(msgspec.Struct):
    """What `manifest.json` says of an entry.

    Attributes:
        root: the folder of the pictures.
        settings: how they were decoded.
        state: a hash of the names, sizes and times of the files.
        array: the file with the images.
        shape: of the images, (N, C, H, W).
        files: name, size in bytes and time in nanoseconds of each picture, the broken ones included.
        broken: the pictures that are not among the images, as indices of `files`, and why.
        totals: the sum of the pixels of each image.
        hashes: of the pixels of each image.
        constant: the images that have one value throughout.
        binary: whether all pixels are 0 or 255.
        transparent: how many pictures were transparent.
        frames: how many pictures had more than one frame.
    """

    root: str
    settings: dict[str, Any]
    state: str
    array: str
    shape: tuple[int, int, int, int]
    files: list[tuple[str, int, int]]
    broken: list[tuple[int, str]]
    totals: list[int]
    hashes: list[str]
    constant: list[int]
    binary: bool
    transparent: int
    frames: int

    def is_consistent(self) -> bool:
        """Whether there is one of everything for each image."""
        images = self.shape[0]
        return images == len(self.totals) == len(self.hashes) == len(self.files) - len(self.broken)


class Entry(NamedTuple):
    """An entry of the cache.

    Attributes:
        images: uint8 (N, C, H, W), a read-only memory map.
        manifest: what is known of them.
        folder: where it lies.
        made: whether it was made just now.
    """

    images: Tensor
    manifest: Manifest
    folder: Path
    made: bool = False


def cached_images(root: Path, pictures: Sequence[PictureFile], settings: Settings, cache: Path, limit: float) -> Entry:
    """The decoded pictures of a folder, from the cache if they are there, else decoded into it.

    Args:
        root: the folder, without links.
        pictures: what it holds, at least one.
        settings: how they are decoded.
        cache: the folder of the cache.
        limit: how many bytes the cache may have; entries that were not used for longest are deleted first.

    Raises:
        UserError: pictures have different sizes, or the cache cannot be written or would become too large.
    """
    key = hashlib.sha256(repr((VERSION, os.fsencode(root), *settings)).encode()).hexdigest()[:16]
    folder, state = cache / key, state_of(pictures)
    with wait_for_lock(_lock_of(folder), lambda: _say_waiting(root)):
        entry = _read(folder, state)
        if entry is None:
            try:
                entry = _make(root, pictures, settings, folder, state, limit)
            except OSError as error:
                raise _unwritable(cache, error) from error
        _mark_in_use(folder)
    return entry


def state_of(pictures: Sequence[PictureFile]) -> str:
    """A hash of the names, sizes and times of pictures, which differs once one of them has changed."""
    digest = hashlib.sha256()
    for parts, size, mtime_ns in pictures:
        digest.update(os.fsencode("/".join(parts)) + f"\0{size}\0{mtime_ns}\0".encode())
    return digest.hexdigest()


def _say_waiting(root: Path) -> None:
    if is_main_process():
        sys.stderr.write(f"Waiting for another process that decodes {printable(str(root))} …\n")


def _unwritable(cache: Path, error: OSError) -> UserError:
    where = printable(str(cache))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(f"There is not enough space in {where} for the decoded pictures: set data.cache to another folder.")
    return UserError(f"The cache of pictures, {where}, cannot be written ({error.strerror}): set data.cache to another folder.")


# -------------------------------------------------------------------- reading and making


def _read(folder: Path, state: str) -> Entry | None:
    """The entry; None if there is none of these files, or it is damaged."""
    try:
        manifest, _ = read_json_as(folder / MANIFEST, Manifest, LARGEST_MANIFEST)
        if manifest.state != state or not ARRAY.fullmatch(manifest.array) or not manifest.is_consistent():
            return None
        images = _open_map(folder / manifest.array, manifest.shape)
    except (OSError, ValueError, RunError):
        return None
    with suppress(OSError):
        os.utime(folder / MANIFEST)  # when it was last used
    return None if images is None else Entry(images, manifest, folder)


def _open_map(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """The images in the file, as a tensor that reads them when they are asked for; None if they are not of this shape."""
    check_ordinary(path)
    if shape[0] == 0:
        return torch.zeros(shape, dtype=torch.uint8)
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    whole = images.dtype == np.uint8 and images.shape == shape and images.flags.c_contiguous
    if not whole or path.stat().st_size != images.offset + images.nbytes:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about read-only arrays; nothing writes to the images of a split
        return torch.from_numpy(images)


def _make(root: Path, pictures: Sequence[PictureFile], settings: Settings, folder: Path, state: str, limit: float) -> Entry:
    """Decodes the pictures into the entry; an older state of it is deleted first."""
    folder.mkdir(parents=True, exist_ok=True)
    _empty(folder)
    array = folder / f"images-{secrets.token_hex(4)}.npy"
    temporary = array.with_name(f".{array.name}.tmp")
    try:
        facts = decode_all(root, pictures, settings, temporary, lambda need: make_room(folder, need, limit))
        temporary.replace(array)
        manifest = Manifest(
            printable(str(root)),
            settings._asdict(),
            state,
            array.name,
            files=[(picture.name, picture.size, picture.mtime_ns) for picture in pictures],
            **vars(facts),
        )
        with atomic_write(folder / MANIFEST, durable=True) as file:
            file.write(msgspec.json.encode(manifest))
        images = _open_map(array, manifest.shape)
        assert images is not None
        return Entry(images, manifest, folder, made=True)
    except BaseException:
        _empty(folder)
        with suppress(OSError):
            folder.rmdir()
        raise


# -------------------------------------------------------------------- bounding


def make_room(folder: Path, need: int, limit: float) -> None:
    """Deletes the entries beside `folder` that were not used for longest and that no process reads, until `need` bytes fit.

    Raises:
        UserError: they do not fit even so.
        RunError: the disk has not enough space.
    """
    cache, size = folder.parent, f"{max(need, GB / 100) / GB:,.2f} GB"
    if need > limit:
        raise UserError(
            f"The decoded pictures take {size}, and the cache at most data.cache_limit={limit / GB:g} (GB): make them smaller "
            "with data.size, or raise data.cache_limit."
        )
    entries = [path for path in cache.iterdir() if ENTRY.fullmatch(path.name) and path != folder and path.is_dir()]
    sizes = {path: _size(path) for path in entries}
    total = sum(sizes.values())
    for path in sorted(entries, key=_last_used):
        if total + need <= limit:
            break
        if delete_entry(path):
            total -= sizes[path]
    free = shutil.disk_usage(cache).free
    if free < need:
        raise RunError(
            f"The decoded pictures take {size}, and {printable(str(cache))} has {free / GB:,.2f} GB free: make them smaller "
            "with data.size, or set data.cache to another folder."
        )


def delete_entry(folder: Path) -> bool:
    """Deletes an entry unless a process makes or reads it; gives whether it did."""
    with try_lock(_lock_of(folder)) as free:
        if not free or folder in _IN_USE or any(is_locked(mark) for mark in _marks(folder)):
            return False
        _empty(folder)
        for mark in _marks(folder):
            mark.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
        return not folder.exists()


def _empty(folder: Path) -> None:
    """Deletes the files of an entry, and no others."""
    for path in [folder / MANIFEST, *folder.glob("images-*.npy"), *folder.glob(".*.tmp*")]:
        with suppress(OSError):
            path.unlink()


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _last_used(folder: Path) -> float:
    with suppress(OSError):
        return (folder / MANIFEST).stat().st_mtime
    return 0.0  # half-made, by a process that was killed


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _marks(folder: Path) -> list[Path]:
    return list(folder.parent.glob(f"{folder.name}.used-by-*"))


def _mark_in_use(folder: Path) -> None:
    """Holds a lock beside the entry until this process ends."""
    if folder not in _IN_USE:
        for mark in _marks(folder):  # of processes that have ended
            if not is_locked(mark):
                with suppress(OSError):
                    mark.unlink(missing_ok=True)
        _IN_USE[folder] = hold_lock(folder.with_name(f"{folder.name}.used-by-{os.getpid()}"))
