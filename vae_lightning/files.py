"""Files that no reader meets half-written. Imports nothing of weight."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vae_lightning.errors import RunError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`, renamed to it when it is whole, so that no reader meets half a file.

    Never through a link that someone put there. OSError where it cannot be written.
    """
    beside = temporary_sibling(path)
    try:
        with beside.open("xb") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def temporary_sibling(path: Path) -> Path:
    """A name for a half-written `path` that nobody can have guessed; to be opened with mode "x"."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def training_finished(folder: Path) -> bool:
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


@contextmanager
def exclusive_folder(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Holds the run folder; RunError where another process still trains in it after `patience` seconds.

    A lock on the folder itself, which the system lets go of however the process ends.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # not on this system, or not for folders
        yield
        return
    try:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RunError(f"Another process is training in {folder}: let it end, or stop it, first.") from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Holds the lock, if it is free; whether it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with try_lock(path) as free:
        return not free
