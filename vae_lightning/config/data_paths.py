"""The settings of data sets that name files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PATH_KEYS = ("root", "images", "labels", "targets")  # where the data are
CACHE_KEYS = ("cache",)  # where decoded pictures are kept


def with_absolute_paths(data: dict[str, Any]) -> dict[str, Any]:
    """Make the paths in the settings of a data set absolute, so that a run finds its data from any folder."""

    def absolute(key: str, value: object) -> object:
        is_path = key in (*PATH_KEYS, *CACHE_KEYS) and isinstance(value, str) and value and "://" not in value
        return str(Path(str(value)).expanduser().absolute()) if is_path else value

    return {key: absolute(key, value) for key, value in data.items()}
