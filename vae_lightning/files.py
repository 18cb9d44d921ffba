"""Paths that users name, files never seen half-written, and locks that end with their process. Fast to import: no torch."""

from __future__ import annotations

import json
import os
import re
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from vae_lightning.errors import RunError, UserError, format_value

LOCK = ".lock"  # in a run folder while a process trains in it


# -------------------------------------------------------------------- paths


def user_path(key: str, value: str | Path) -> Path:
    """Return the absolute path that a user named, with `~` replaced by the home folder. It need not exist.

    Args:
        key: of the command line, for error messages.
        value: its value.

    Raises:
        UserError: it cannot be accessed: it is too long, is a circle of links, is forbidden, or names a user who does not exist.
    """
    try:
        path = Path(value).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # of a user without a home; of a current folder that was removed
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise UserError(f"{key}={format_value(str(value))} cannot be accessed ({reason}).") from error
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{key}={format_value(str(value))} cannot be accessed ({reason}).") from error
    return path


def find_below(start: Path, name: str) -> list[Path]:
    """Find the files called `name` below a folder, the ones nearest to it first.

    At most 2,000 folders are looked into, and links are not followed: somebody may have typed `/`.
    """
    found, waiting = list[Path](), deque([start])
    for _ in range(2000):
        if not waiting:
            break
        try:
            with os.scandir(waiting.popleft()) as entries:
                for entry in sorted(entries, key=lambda each: each.name):
                    if entry.name == name:
                        found.append(Path(entry.path))
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:  # not ours to read, or gone
            continue
    return sorted(found)


# -------------------------------------------------------------------- writing


@contextmanager
def atomic_path(path: Path, before_rename: Callable[[], None] | None = None, *, keep_existing: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder, and rename that file to `path` at the end of the block.

    After an exception, `path` is as it was before. A link at `path` is replaced, never followed. What a process that was killed
    here has left of the same file is deleted.

    Args:
        path: where the file belongs.
        before_rename: called once the new file is complete.
        keep_existing: whether a file that is there by then stays, so that processes that make one at once all find the same.

    Raises:
        OSError: the file cannot be written.
    """
    _delete_abandoned(path)
    temporary = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if before_rename is not None:
            before_rename()
        if not (keep_existing and _linked_or_there(temporary, path)):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _linked_or_there(temporary: Path, path: Path) -> bool:
    """Make `path` a link to `temporary` unless it exists; False on a file system without links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def atomic_write(
    path: Path,
    durable: bool = False,
    before_rename: Callable[[], None] | None = None,
    *,
    private: bool = False,
    keep_existing: bool = False,
) -> Iterator[BinaryIO]:
    """Open a temporary file for writing and rename it to `path` when it is complete (see `atomic_path`).

    Args:
        path: where the file belongs.
        durable: whether to flush the file and its folder to the disk, so that it survives a power cut.
        before_rename: called once the new file is complete.
        private: whether only the user may read and write it.
        keep_existing: see `atomic_path`.

    Raises:
        OSError: the file cannot be written.
    """
    with (
        atomic_path(path, before_rename, keep_existing=keep_existing) as temporary,
        open(temporary, "xb", opener=_private if private else None) as file,  # "x": not through someone's link
    ):
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())
        file.close()  # Windows cannot rename an open file
    if durable:
        _sync_folder(path.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically.

    NaN and infinity are written as Python's json writes them, and only `read_json_with_nan` reads them: results and records may
    contain them, but `sweep.json` and the states of jobs may not.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _machine() -> str:
    return f"{zlib.crc32(os.uname().nodename.encode()):08x}" if hasattr(os, "uname") else ""


def _delete_abandoned(path: Path) -> None:
    """Delete temporary files for `path` that belong to a process on this machine that has ended."""
    if not hasattr(os, "uname"):  # Windows has no way to look for a process without ending it
        return
    name = re.compile(rf"\.{re.escape(path.name)}\.{_machine()}-([0-9]{{1,9}})-[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for found in filter(None, map(name.fullmatch, os.listdir(path.parent))):
            try:
                os.kill(int(found[1]), 0)
            except ProcessLookupError:
                path.with_name(found[0]).unlink(missing_ok=True)
            except OSError:  # another user's process, which is alive
                continue


def _sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename survives a power cut, on systems that can do so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder(cache: str | Path | None) -> Path:
    """Return the given folder; for None, `vae_lightning` in the user's cache folder."""
    if cache is not None:
        return user_path("cache", cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae_lightning"


# -------------------------------------------------------------------- locks


def _lock(path: Path) -> FileLock:
    """Return a lock that the operating system releases when the process ends, however it ends."""
    return FileLock(path, fallback_to_soft=False)  # a soft lock would stay behind when the process is killed


@contextmanager
def exclusive_folder(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Keep other processes from training in the run folder during the block.

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
        with suppress(OSError):  # while the lock is held: filelock notices if its file has been deleted
            (folder / LOCK).unlink()
        lock.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Take the lock for the block if it is free, and yield whether it was; True if the file system has no locks."""
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
    """Hold the lock in this block, once it is free; where the file system has no locks, go on at once.

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
    """Take a lock that nobody else has, until the object is gone or the process ends; None where there are no locks."""
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
