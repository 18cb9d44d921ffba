"""The IDX file format of MNIST: a big-endian header with type and sizes, then the bytes; plain or gzipped."""

from __future__ import annotations

import errno
import gzip
import math
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from vae_lightning.errors import UserError

LARGEST = 2**30  # bytes of an array: MNIST has 47 MB, and the largest of its successors about half of this


def find_idx(path: Path) -> Path | None:
    """`path`, or `path` with .gz appended if only that exists; None if neither does."""
    packed = path.with_name(f"{path.name}.gz")
    return path if os.path.exists(path) else packed if os.path.exists(packed) else None


def read_idx(path: Path, rank: int | None = None) -> np.ndarray:
    """Read the array in an IDX file of unsigned bytes.

    The header is read first, then no more data than it promises, since a few MB can unpack to many GB.

    Args:
        path: the file, gzipped if its name ends in .gz.
        rank: how many dimensions the array must have; None for any number.

    Raises:
        UserError: it is damaged or too large, is not an ordinary file, or does not have `rank` dimensions.
    """
    try:
        with _open(path) as file:
            sizes = _read_header(path, file, rank)
            promised = math.prod(sizes)
            if promised > LARGEST:
                raise UserError(
                    f"{path}: its header promises {promised} bytes of data, more than the {LARGEST} that are read: delete it and "
                    "download it again."
                )
            content = file.read(promised + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and download it again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(content) != promised:
        there = f"only {len(content)}" if len(content) < promised else "more"
        raise UserError(
            f"{path} is damaged: its header promises {promised} bytes, but {there} are present: delete it and download it again."
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(sizes)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open the unpacked content of an ordinary file. Raise UserError for a FIFO, which would block, or an endless device."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise UserError(f"{path} is a FIFO, a device or a socket, not an ordinary file, and is not read.")
    with os.fdopen(descriptor, "rb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield file


def _read_header(path: Path, file: BinaryIO, rank: int | None) -> tuple[int, ...]:
    """Return the sizes of the array."""
    start = file.read(4)
    sizes = file.read(4 * start[3]) if len(start) == 4 and start[:3] == b"\x00\x00\x08" else b""
    if len(start) < 4 or start[:3] != b"\x00\x00\x08" or len(sizes) < 4 * start[3]:
        size = path.stat().st_size
        raise UserError(f"{path} is not an IDX file of unsigned bytes (it has {size} bytes): delete it and download it again.")
    if rank is not None and start[3] != rank:
        raise UserError(f"{path} holds an array of {start[3]} dimensions instead of {rank}: delete it and download it again.")
    return struct.unpack(f">{start[3]}I", sizes)
