"""Sees what a command does to the world: files it opens for writing, changes or removes, programs it starts, and connections."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn"}
CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"}
CHANGES = {
    "os.remove": (0,), "os.rename": (0, 1), "os.mkdir": (0,), "os.rmdir": (0,), "os.link": (0, 1), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1),
    "shutil.copyfile": (1,), "sqlite3.connect": (0,),
}  # fmt: skip
BY_FOLDER = ("os.remove", "os.rmdir")  # their last argument may be the folder, open, that the path starts from
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# git (for the commit in results.json) and what torch and others ask the machine
HARMLESS = ("git", "lscpu", "ldconfig", "gcc", "/sbin/ldconfig", "uname")


class Witness:
    """The only hook of this process, which cannot be removed; `watching` sets the folders that it reports on."""

    def __init__(self) -> None:
        self.allowed: tuple[Path, ...] = ()
        self.seen: list[str] = []
        self.active = False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        self.active = False  # do not record what is done here
        try:
            self.look(event, arguments)
        finally:
            self.active = True

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTS and not str(first_word(arguments)).startswith(HARMLESS):
            self.seen.append(f"{event} {arguments[0]!r}")
        elif event in CONNECTS and not is_local(arguments):
            self.seen.append(f"{event} {arguments[1:]!r}")
        elif event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & WRITING)
            if writes:
                self.changed(event, path)
        else:
            for place in CHANGES.get(event, ()):
                self.changed(event, in_folder(arguments[place], arguments[-1]) if event in BY_FOLDER else arguments[place])

    def changed(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or is_harmless(os.fsdecode(path)):
            return
        # the place that the name leads to, without following its last part if that is removed or replaced
        whole = Path(os.path.abspath(os.fsdecode(path)))
        real = (
            Path(os.path.realpath(whole))
            if event in ("open", "os.truncate", "os.chmod", "os.utime")
            else (Path(os.path.realpath(whole.parent)) / whole.name)
        )
        if not any(real == root or real.is_relative_to(root) for root in self.allowed):
            self.seen.append(f"{event} {real}")


def is_harmless(path: str) -> bool:
    """Whether a path is not a file, or is Python's own bytecode of an import."""
    return path in (":memory:", os.devnull) or "__pycache__" in path or path.startswith(sys.pycache_prefix or "\0")


def in_folder(path: Any, folder: Any) -> Any:
    """The whole path of one that is relative to an open folder, as `shutil.rmtree` gives it."""
    if not isinstance(folder, int) or folder < 0 or not isinstance(path, str | bytes):
        return path
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))


def first_word(arguments: tuple[Any, ...]) -> Any:
    command = arguments[0] if not isinstance(arguments[0], bytes) else arguments[0].decode()
    return os.path.basename(str(command)) if command is not None else arguments[1][0]


def is_local(arguments: tuple[Any, ...]) -> bool:
    """Whether an address is a Unix socket, which connects processes of this machine."""
    return len(arguments) > 1 and isinstance(arguments[1], str | bytes) and os.fsdecode(arguments[1]).startswith(("/", "\0"))


WITNESS: list[Witness] = []


@contextmanager
def watching(*allowed: Path) -> Iterator[Witness]:
    """Record in `seen` what is changed outside the `allowed` folders, started or connected to during the block."""
    if not WITNESS:
        WITNESS.append(Witness())
    witness = WITNESS[0]
    witness.allowed, witness.seen = tuple(Path(os.path.realpath(path)) for path in allowed), []
    witness.active = True
    try:
        yield witness
    finally:
        witness.active = False


def tree(folder: Path) -> dict[str, str]:
    """Every file, folder and link below a folder, with a hash of what is in it."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            status = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = ""
            found[str(path.relative_to(folder))] = f"{status.st_mode:o} {content}"
    return found
