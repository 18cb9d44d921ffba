"""Which pictures a folder holds, and what their folders say: the splits and the classes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vae_lightning.data.base import SPLITS
from vae_lightning.errors import UserError, printable

ENDINGS = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff")
# how the files of these formats begin, for names without an ending
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SHOWN = 4  # endings of skipped files that a note names


class PictureFile(NamedTuple):
    """A file that should hold a picture.

    Attributes:
        parts: its path below the root: folders and name.
        size: in bytes.
        mtime_ns: when it was last changed.
    """

    parts: tuple[str, ...]
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The path below the root, safe to print."""
        return printable("/".join(self.parts))


class Scan(NamedTuple):
    """What a folder holds.

    Attributes:
        pictures: in the order of their paths.
        skipped: how many files that are no pictures there are of each ending, or name where it has none.
    """

    pictures: list[PictureFile]
    skipped: Counter[str]


def scan_folder(root: Path) -> Scan:
    """All files below `root` that should hold pictures, by their endings; hidden files and folders are no pictures.

    Raises:
        UserError: `root` is no folder, or cannot be read; something in it is a link that leads out of it, or a FIFO.
    """
    _check_root(root)
    pictures, skipped = list[PictureFile](), Counter[str]()
    for path, parts, status in _walk(root, root, ()):
        if stat.S_ISREG(status.st_mode) and _is_picture(path):
            pictures.append(PictureFile(parts, status.st_size, status.st_mtime_ns))
        else:
            skipped[path.name if path.name.startswith(".") else path.suffix.lower() or path.name] += 1
    pictures.sort()
    return Scan(pictures, skipped)


def _check_root(root: Path) -> None:
    shown = printable(str(root))
    try:
        mode = root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"data.root={shown}: there is no such folder; set data.root to the folder of your pictures.") from None
    except OSError as error:
        raise UserError(f"data.root={shown} cannot be read ({error.strerror}).") from error
    if not stat.S_ISDIR(mode):
        raise UserError(f"data.root={shown} is no folder: set data.root to the folder that holds the pictures.")


def _walk(root: Path, folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...], os.stat_result]]:
    """Every file below `folder`, its path below `root`, and its status."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise UserError(
            f"{printable(str(folder))} cannot be read ({error.strerror}): change its permissions or move it."
        ) from error
    for entry in entries:
        path, below = Path(entry.path), (*parts, entry.name)
        if entry.is_symlink():
            _check_link(root, path)
        hidden = entry.name.startswith(".") or entry.name == "__MACOSX"
        if entry.is_dir():
            if not hidden and not entry.is_symlink():  # what a link leads to inside the root is found there
                yield from _walk(root, path, below)
            continue
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode) and _has_ending(path):
            raise UserError(f"{printable(str(path))} is a FIFO, a device or a socket, which is not read: remove it.")
        yield path, below, status


def _check_link(root: Path, path: Path) -> None:
    target, shown = Path(os.path.realpath(path)), printable(str(path))
    if not target.exists():
        raise UserError(f"{shown} is a link that leads nowhere, to {printable(str(target))}: remove it.")
    if not target.is_relative_to(root):
        raise UserError(
            f"{shown} is a link that leads out of data.root, to {printable(str(target))}, and is not followed: put a copy there."
        )


def _has_ending(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def _is_picture(path: Path) -> bool:
    """By the ending of the name; a file without one by how it begins."""
    if path.suffix or path.name.startswith("."):
        return _has_ending(path)
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(BEGINNINGS)
    except OSError:
        return False


def skipped_note(skipped: Counter[str]) -> str:
    """Says how many files were skipped: `3 files that are no pictures were skipped (.txt, .DS_Store).`."""
    count = sum(skipped.values())
    kinds = [printable(kind)[:40] for kind, _ in skipped.most_common(SHOWN)] + ["…"] * (len(skipped) > SHOWN)
    files = "1 file that is no picture was" if count == 1 else f"{count:,} files that are no pictures were"
    return f"{files} skipped ({', '.join(kinds)})."


class Layout(NamedTuple):
    """What the folders say of pictures.

    Attributes:
        splits: of each picture, train, val or test; None where nothing says it.
        labels: of each picture, its class, or −1.
        names: the classes, sorted; empty if there are none.
    """

    splits: list[str] | None
    labels: list[int]
    names: tuple[str, ...]


def read_layout(root: Path, pictures: list[PictureFile]) -> Layout:
    """The splits and classes of pictures: a flat folder, a folder for each class, or either inside train, val and test folders.

    Raises:
        UserError: some pictures lie in folders of splits and some beside them, or no folder is for training.
    """
    top = {picture.parts[0] for picture in pictures if len(picture.parts) > 1}
    named = {name: SPLIT_FOLDERS[name.lower()] for name in sorted(top) if name.lower() in SPLIT_FOLDERS}
    if not named:
        return _with_classes(None, [picture.parts for picture in pictures])
    _check_split_folders(root, pictures, named)
    splits = [named[picture.parts[0]] for picture in pictures]
    return _with_classes(splits, [picture.parts[1:] for picture in pictures])


def _with_classes(splits: list[str] | None, paths: list[tuple[str, ...]]) -> Layout:
    names = sorted({parts[0] for parts in paths if len(parts) > 1})
    number = {name: label for label, name in enumerate(names)}
    labels = [number[parts[0]] if len(parts) > 1 else -1 for parts in paths]
    return Layout(splits, labels, tuple(map(printable, names)))


def _check_split_folders(root: Path, pictures: list[PictureFile], named: dict[str, str]) -> None:
    where, folders = printable(str(root)), ", ".join(map(printable, named))
    beside = next((picture for picture in pictures if len(picture.parts) == 1 or picture.parts[0] not in named), None)
    if beside is not None:
        raise UserError(
            f"{where} holds folders of splits ({folders}) and, beside them, other pictures, such as {beside.name}: "
            "move these into one of the splits, or leave only folders of classes."
        )
    for split in SPLITS:
        same = [printable(name) for name, of in named.items() if of == split]
        if len(same) > 1:
            raise UserError(f"{where} holds {' and '.join(same)}, which name the same split: keep one of them.")
    if "train" not in named.values():
        raise UserError(f"{where} holds {folders}, but no folder train: add one, or rename the others if they are classes.")
