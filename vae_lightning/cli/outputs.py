"""Where a command writes, as named on the command line."""

from __future__ import annotations

from pathlib import Path

from vae_lightning.errors import InvalidValue, printable


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
    return Path(value).expanduser().absolute()


def output_file(key: str, value: object) -> Path | None:
    """Return the file that the key names; None for null. Raise InvalidValue if it is not a path, or is a folder."""
    path = _output_path(key, value)
    if path is not None and path.is_dir():
        raise InvalidValue(key, value, "the path of a file, but this is a folder")
    return path


def output_folder(key: str, value: object) -> Path | None:
    """Return the folder that the key names; None for null. Raise InvalidValue if it is not a path, or is a file."""
    path = _output_path(key, value)
    if path is not None and path.exists() and not path.is_dir():
        raise InvalidValue(key, value, "the path of a folder, but this is a file")
    return path
