"""Checkpoints as files: what they are called, and whether they are intact. Fast to import: no torch."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from vae_lightning.files import atomic_path

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy on file systems without links; a `target` that exists is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            temporary.write_bytes(source.read_bytes())


def is_intact(path: Path) -> bool:
    """Whether no byte has changed since it was written: a checkpoint is a zip file with a checksum for each of its parts.

    torch.load does not verify the checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)  # others may be far larger than the file
            return stored and sum(part.file_size for part in parts) <= path.stat().st_size and archive.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        return False
