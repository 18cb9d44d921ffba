"""The IDX file format of MNIST: a big-endian header with type and sizes, then the bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from vae_lightning.errors import UserError


def find_idx(path: Path) -> Path | None:
    """`path`, or `path` with .gz appended if only that exists; None if neither does."""
    packed = path.with_name(f"{path.name}.gz")
    return path if path.exists() else packed if packed.exists() else None


def read_idx(path: Path, rank: int | None = None) -> np.ndarray:
    """The array of an IDX file of unsigned bytes; raises UserError if the file is damaged or does not have `rank` dimensions."""
    content = _content(path)
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise UserError(
            f"{path} is not an IDX file of unsigned bytes (it has {len(content)} bytes): delete it and download it again."
        )
    sizes = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    if rank is not None and len(sizes) != rank:
        raise UserError(f"{path} holds an array of {len(sizes)} dimensions instead of {rank}: delete it and download it again.")
    start, promised = 4 + 4 * len(sizes), int(np.prod(sizes, dtype=object))
    present = len(content) - start
    if present != promised:
        only = "only " if present < promised else ""
        raise UserError(
            f"{path} is damaged: its header promises {promised} bytes, but {only}{present} are present: "
            "delete it and download it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(sizes)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and download it again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
