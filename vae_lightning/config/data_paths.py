"""The settings of data sets that name files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PATH_KEYS = ("root", "images", "labels", "targets")


def with_absolute_paths(data: dict[str, Any]) -> dict[str, Any]:
    """Make the paths in the settings of a data set absolute, so that a run finds its data from any folder."""
    return {
        key: str(Path(value).expanduser().absolute()) if key in PATH_KEYS and isinstance(value, str) and value else value
        for key, value in data.items()
    }
