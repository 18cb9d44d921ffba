"""Checkpoints as files: their names, and whether they are whole. Quick to import: no torch."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` another name of `source`'s content; a copy where the file system knows no links."""
    new = temporary_path(target)
    new.unlink(missing_ok=True)
    try:
        os.link(source, new)
    except OSError:
        new.write_bytes(source.read_bytes())
    new.replace(target)
    new.unlink(missing_ok=True)  # still there where both were one file already


def is_intact(path: Path) -> bool:
    """Whether every byte is as it was written: a checkpoint is a zip file, which holds the checksum of each of its parts.

    torch.load alone does not look at them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        return False


def temporary_path(target: Path) -> Path:
    """Where a file is written before it gets its name."""
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def fsync_folder(folder: Path) -> None:
    """So that the renaming survives a power cut too, where folders can be flushed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
