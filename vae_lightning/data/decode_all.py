"""All pictures of a folder, decoded in parallel into one .npy file, in order and without the broken ones."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_lightning.data.decode import Broken, Decoded, Settings, decode, strict_pillow
from vae_lightning.data.scan import PictureFile
from vae_lightning.errors import UserError, is_main_process

MOST_THREADS = 32
GROUP, GROUP_BYTES = 16, 4 * 2**20  # pictures, and bytes of pixels, that a thread decodes at a time
SILENT_SECONDS = 1.0  # after which a bar shows the progress


class Seen(NamedTuple):
    """One decoded picture and what is known of its pixels; `image` None if it is broken, for `reason`."""

    image: Decoded | None
    reason: str = ""
    total: int = 0
    digest: str = ""
    constant: bool = False
    binary: bool = True


class Facts:
    """What is known of the images in the file.

    Attributes:
        shape: (N, channels, height, width).
        totals: the sum of the pixels of each image.
        hashes: of the pixels of each image.
        constant: the images that have one value throughout.
        broken: the pictures that are not in the file, as indices in the list that was decoded, and why.
        binary: whether all pixels are 0 or 255.
        transparent: how many pictures were.
        frames: how many pictures had more than one.
    """

    def __init__(self) -> None:
        self.shape: tuple[int, int, int, int] = (0, 0, 0, 0)
        self.totals, self.hashes, self.constant = list[int](), list[str](), list[int]()
        self.broken: list[tuple[int, str]] = []
        self.binary, self.transparent, self.frames = True, 0, 0

    def note(self, seen: Seen, image: Decoded) -> None:
        """Adds an image."""
        if seen.constant:
            self.constant.append(len(self.totals))
        self.totals.append(seen.total)
        self.hashes.append(seen.digest)
        self.binary &= seen.binary
        self.transparent += image.transparent
        self.frames += image.frames


class GrowingArray:
    """A .npy file of images, uint8 (N, C, H, W), that are added one by one: RGB from the first one with colour on.

    Args:
        path: of the file.
        channels: `rgb` for RGB from the start.
        most: how many images may come.
        make_room: called with the number of bytes that the file may get.
    """

    def __init__(self, path: Path, channels: str, most: int, make_room: Callable[[int], None]) -> None:
        self.path, self.channels, self.most, self.make_room = path, channels, most, make_room
        self.count, self.shape = 0, (3 if channels == "rgb" else 1, 0, 0)
        self.grey = list[int]()  # images that came with one channel
        self.file = path.open("xb")

    def add(self, pixels: np.ndarray) -> None:
        """Appends an image, (1 or 3, height, width)."""
        if self.count == 0:
            self._begin((max(self.shape[0], len(pixels)), *pixels.shape[1:]))
        elif len(pixels) > self.shape[0]:
            self._become_rgb()
        if len(pixels) == 1:
            self.grey.append(self.count)
        self.file.write(np.broadcast_to(pixels, self.shape).tobytes())
        self.count += 1

    def _begin(self, shape: tuple[int, ...]) -> None:
        channels, height, width = shape
        self.shape = (channels, height, width)
        self.make_room(self.most * channels * height * width)
        self._write_header()

    def _write_header(self) -> None:
        """At the start of the file; it has one length for any number of images."""
        self.file.seek(0)
        whole = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, whole)

    def _become_rgb(self) -> None:
        """Repeats the channel of the images that are there."""
        self.file.close()
        grey = self.path.with_name(self.path.name + ".grey")
        self.path.rename(grey)
        size = self.shape[1] * self.shape[2]
        self.file = self.path.open("xb")
        try:
            self._begin((3, *self.shape[1:]))
            with grey.open("rb") as before:
                before.seek(self.file.tell())
                for _ in range(self.count):
                    self.file.write(before.read(size) * 3)
        finally:
            grey.unlink()

    def close(self) -> None:
        """Writes the number of images into the header, and the file to the disk."""
        self._write_header()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


def decode_all(
    root: Path, pictures: Sequence[PictureFile], settings: Settings, path: Path, make_room: Callable[[int], None]
) -> Facts:
    """Decodes pictures into a new .npy file at `path`.

    Args:
        root: their folder.
        pictures: at least one.
        settings: how they are decoded.
        path: of the file; what is there of it after an exception is to be deleted.
        make_room: called with the number of bytes that the file may get.

    Raises:
        UserError: pictures have different sizes, and `settings.size` is None.
        OSError: the file cannot be written.
    """
    array, facts, shape_of = GrowingArray(path, settings.channels, len(pictures), make_room), Facts(), None
    try:
        with strict_pillow(), _progress(root, len(pictures)) as advance:
            for index, seen in enumerate(_decoded(root, pictures, settings)):
                advance()
                if seen.image is None:
                    facts.broken.append((index, seen.reason))
                    continue
                pixels = seen.image.pixels
                shape_of = (pictures[index], pixels.shape) if shape_of is None else shape_of
                if pixels.shape[1:] != shape_of[1][1:]:
                    raise UserError(_unequal(shape_of[0], shape_of[1], pictures[index], pixels.shape))
                array.add(pixels)
                facts.note(seen, seen.image)
        array.close()
    finally:
        array.file.close()
    if array.shape[0] == 3:
        for image in array.grey:
            facts.totals[image] *= 3
    facts.shape = (array.count, *array.shape)
    return facts


def _unequal(one: PictureFile, shape: tuple[int, ...], other: PictureFile, other_shape: tuple[int, ...]) -> str:
    return (
        f"The pictures have different sizes: {one.name} is {shape[2]}×{shape[1]} and {other.name} {other_shape[2]}×"
        f"{other_shape[1]} (width × height); set data.size, such as data.size=64, to resize and crop them to one size."
    )


def _decoded(root: Path, pictures: Sequence[PictureFile], settings: Settings) -> Iterator[Seen]:
    """Every picture in order, decoded in threads, which Pillow lets run while it decodes."""
    first = _look(root, pictures[0], settings)
    yield first
    size = 1 if first.image is None else first.image.pixels.nbytes
    step = max(1, min(GROUP, GROUP_BYTES // size))
    threads = min(MOST_THREADS, _processors())
    waiting: deque[Future[list[Seen]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for start in range(1, len(pictures), step):
                group = pictures[start : start + step]
                waiting.append(pool.submit(lambda group: [_look(root, picture, settings) for picture in group], group))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _look(root: Path, picture: PictureFile, settings: Settings) -> Seen:
    """Decodes a picture, and finds what is to be known of it while it is in the processor's cache."""
    try:
        image = decode(root.joinpath(*picture.parts), settings)
    except Broken as error:
        return Seen(None, str(error))
    pixels = image.pixels
    digest = hashlib.blake2b(pixels.data, digest_size=16, key=repr(pixels.shape).encode()).hexdigest()
    low, high = int(pixels.min()), int(pixels.max())
    binary = low in (0, 255) and high in (0, 255) and bool(((pixels == 0) | (pixels == 255)).all())
    return Seen(image, "", int(pixels.sum(dtype=np.int64)), digest, low == high, binary)


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(root: Path, total: int) -> Iterator[Callable[[], None]]:
    """A bar that appears if decoding takes longer than a second; gives the function to call after each picture."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("decoding pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=total)
    began, done, shown = time.monotonic(), 0, not (is_main_process() and sys.stderr.isatty())
    hidden = shown

    def advance() -> None:
        nonlocal done, shown
        done += 1
        if not shown and time.monotonic() - began > SILENT_SECONDS:
            shown = True
            bar.start()
        if shown and not hidden:
            bar.update(task, completed=done)

    try:
        yield advance
    finally:
        bar.stop()
