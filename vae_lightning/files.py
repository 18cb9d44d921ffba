"""Files that no reader meets half-written. Imports nothing of weight."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def written_beside(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`, renamed to it when it is whole, so that no reader meets half a file.

    Never through a link that someone put there. OSError where it cannot be written.
    """
    beside = beside_of(path)
    try:
        with beside.open("xb") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with written_beside(path) as file:
        file.write(text.encode())


def beside_of(path: Path) -> Path:
    """A name for a half-written `path` that nobody can have guessed; to be opened with mode "x"."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def has_ended(folder: Path) -> bool:
    """Whether training ended in this run folder; a `results.json` alone does not say so, since evaluate.py writes one."""
    try:
        return "steps" in read_json(folder / "results.json")
    except ValueError:  # damaged since: whoever reads it says so
        return True


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty where there is no file. ValueError where it holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object.")
    return content
