"""Where a command writes, as named on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from vae_lightning.errors import InvalidValue, printable
from vae_lightning.files import user_path


def _output_path(key: str, value: object) -> Path | None:
    """Return the file or folder that the key names; None for null.

    Raises:
        InvalidValue: it is not text, or contains control characters.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value or printable(value) != value:
        quoted = f"; quote a number ({key}=\"'{value}'\")" if isinstance(value, int | float) else ""
        raise InvalidValue(key, value, f"a path, or null for one in the run folder{quoted}")
    return user_path(key, value)


def output_file(key: str, value: object, suffixes: tuple[str, ...]) -> Path | None:
    """Return the file that the key names; None for null.

    Args:
        key: of the command line.
        value: its value.
        suffixes: those of the kind of file that is written; an existing file of another kind is never replaced.

    Raises:
        InvalidValue: it is not a path, or there is a folder, a device, or a file of another kind.
    """
    path = _output_path(key, value)
    if path is None or not os.path.lexists(path):
        return path
    if path.is_dir():
        raise InvalidValue(key, value, "the path of a file, but this is a folder")
    if not path.is_file():
        raise InvalidValue(key, value, "the path of a file, but this is a device, a FIFO or a broken link")
    if path.suffix.lower() not in suffixes:
        raise InvalidValue(key, value, f"a new file, or one that ends in {' or '.join(suffixes)} and may be replaced")
    return path


def output_folder(key: str, value: object) -> Path | None:
    """Return the folder that the key names; None for null. Raise InvalidValue if it is not a path, or is a file."""
    path = _output_path(key, value)
    if path is not None and os.path.lexists(path) and not path.is_dir():
        raise InvalidValue(key, value, "the path of a folder, but this is not one")
    return path
