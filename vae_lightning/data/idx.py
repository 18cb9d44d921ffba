"""The IDX format of MNIST: a big-endian header that says type and sizes, then the bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from vae_lightning.errors import RunError


def read_idx(path: Path) -> np.ndarray:
    """The array of an uncompressed IDX file of unsigned bytes. RunError where the file is cut short, too long or none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): see to its permissions.") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise RunError(f"{path} is no IDX file of unsigned bytes (it has {len(content)} bytes): delete it and load it again.")
    rank = content[3]
    sizes = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    start, promised = 4 + 4 * rank, int(np.prod(sizes, dtype=object))
    if len(content) - start != promised:
        raise RunError(
            f"{path} is damaged: its header promises {promised} bytes of data and {len(content) - start} are there: "
            "delete it and load it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(sizes)
