"""Writing files that are never seen half-written, and locks that end with their process. Fast to import: no torch."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from vae_lightning.errors import RunError

LOCK = ".lock"  # in a run folder while a process trains in it


# -------------------------------------------------------------------- writing


@contextmanager
def atomic_path(path: Path, before_rename: Callable[[], None] | None = None) -> Iterator[Path]:
    """Gives the path of a temporary file in the same folder, and renames that file to `path` at the end of the block.

    After an exception, `path` is as it was before. A link at `path` is replaced, never followed.

    Args:
        path: where the file belongs.
        before_rename: called once the new file is complete.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if before_rename is not None:
            before_rename()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path, durable: bool = False, before_rename: Callable[[], None] | None = None) -> Iterator[BinaryIO]:
    """Opens a temporary file for writing and renames it to `path` when it is complete (see `atomic_path`).

    Args:
        path: where the file belongs.
        durable: whether to flush the file and its folder to the disk, so that it survives a power cut.
        before_rename: called once the new file is complete.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(path, before_rename) as temporary, temporary.open("xb") as file:  # "x": not through someone else's link
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())
        file.close()  # Windows renames no open file
    if durable:
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _sync_folder(folder: Path) -> None:
    """Flushes a folder, so that a rename survives a power cut, on systems that can do so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder(cache: str | Path | None) -> Path:
    """The given folder; for None, `vae_lightning` in the user's cache folder."""
    if cache is not None:
        return Path(cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae_lightning"


# -------------------------------------------------------------------- locks


def _lock(path: Path) -> FileLock:
    """A lock that the operating system releases when the process ends, however it ends."""
    return FileLock(path, fallback_to_soft=False)  # a soft lock would stay behind when the process is killed


@contextmanager
def exclusive_folder(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Keeps other processes from training in the run folder during the block.

    A folder that is read-only, or whose file system has no locks, is not locked.

    Args:
        folder: the run folder.
        patience: seconds to wait for another process to finish.

    Raises:
        RunError: another process is still training in it after `patience` seconds.
    """
    lock = _lock(folder / LOCK)
    try:
        lock.acquire(timeout=patience, poll_interval=0.1)
    except Timeout:
        raise RunError(
            f"Another process is training in {folder}: wait until it has finished, or stop it, and try again."
        ) from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: filelock notices when the file it has locked is no longer there
            (folder / LOCK).unlink()
        lock.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Takes the lock for the block if it is free, and gives whether it was; True where the file system has no locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def wait_for_lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Takes the lock for the block once it is free; where the file system has no locks, at once.

    Args:
        path: the lock.
        waiting: called once if another process still holds it after a second.
    """
    lock = _lock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1, poll_interval=0.05)
        except Timeout:
            waiting()
            lock.acquire(poll_interval=0.2)
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def hold_lock(path: Path) -> object:
    """Takes a lock that nobody else has, until the object is gone or the process ends; None where there are no locks."""
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError, NotImplementedError):
        return None
    return lock


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    if not path.exists():
        return False
    with try_lock(path) as free:
        return not free
