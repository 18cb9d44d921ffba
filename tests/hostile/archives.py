"""Checkpoints that are damaged or hostile as archives and as pickles, below what `torch.save` could write."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.changes import Hostile

Change = Callable[[Path], object]


def archive(change: Change) -> Hostile:
    """Change the files of both checkpoints of the run."""

    def make(run: Path, victim: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            change(path)

    return make


# -------------------------------------------------------------------- the archive


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {part.filename: file.read(part) for part in file.infolist()}


def rewrite(path: Path, parts: list[tuple[str, bytes]]) -> None:
    """Write an archive with these parts; `zipfile` warns about names that come twice, but writes them."""
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore")
        for name, content in parts:
            file.writestr(name, content)


def edited(edit: Callable[[dict[str, bytes]], list[tuple[str, bytes]] | None]) -> Change:
    """Change the parts of the archive."""

    def change(path: Path) -> None:
        parts = parts_of(path)
        given = edit(parts)
        rewrite(path, list(parts.items()) if given is None else given)

    return change


def patched(marker: bytes, offset: int, value: bytes) -> Change:
    """Overwrite bytes of each header of a kind: b"PK\\x01\\x02" of the directory, b"PK\\x03\\x04" before each part."""

    def change(path: Path) -> None:
        content, place = bytearray(path.read_bytes()), -1
        while (place := content.find(marker, place + 1)) >= 0:
            content[place + offset : place + offset + len(value)] = value
        path.write_bytes(bytes(content))

    return change


def _cut(count: int) -> Change:
    return lambda path: path.write_bytes(path.read_bytes()[:-count])


def _without_directory(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"PK\x01\x02")])


def _sparse(path: Path) -> None:
    """An archive after 15 GB of zeros, which take no room on the disk."""
    whole = path.read_bytes()
    with path.open("wb") as raw:
        raw.seek(15 * 2**30)
        raw.write(whole)  # `zipfile` finds the directory at the end, as with a program that unpacks itself


def _after_pickle(path: Path) -> None:
    """Torch's older format, which takes a lot of memory, and after it an archive that is in order."""
    whole, evil = path.read_bytes(), io.BytesIO()
    beginning: tuple[object, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
    for content in beginning:
        pickle.dump(content, evil, 2)
    evil.write(b"\x80\x02" + opcodes(Called("__builtin__", "bytearray", 10**10)) + b".")
    path.write_bytes(evil.getvalue() + whole)


def _after_tar(path: Path) -> None:
    """Torch's oldest format, which is unpacked into a temporary folder, and after it an archive that is in order."""
    whole = path.read_bytes()
    with tarfile.open(path, "w") as file:
        for name in ("storages", "tensors", "pickle"):
            part = tarfile.TarInfo(name)
            part.size = 3
            file.addfile(part, io.BytesIO(b"\x80\x02."))
    path.write_bytes(path.read_bytes() + whole)


def _behind_its_own_place(path: Path) -> None:
    """An archive, and after it one whose directory leads torch to the parts of the first."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"state_dict", b"STATE_DICT") + whole)


def _all(parts: dict[str, bytes], *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    return [*parts.items(), *more]


def _renamed(parts: dict[str, bytes], rename: Callable[[str], str]) -> list[tuple[str, bytes]]:
    return [(rename(name), content) for name, content in parts.items()]


# -------------------------------------------------------------------- the pickle


class Called:
    """Pickles as a call of `name` in `module`."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


def opcodes(content: Any) -> bytes:
    """The pickle of plain data and calls, without its first and last opcode."""
    if isinstance(content, Called):
        whole = b"".join(map(opcodes, content.arguments))
        return f"c{content.module}\n{content.name}\n".encode() + b"(" + whole + b"tR"
    if isinstance(content, bytes):  # opcodes already
        return content
    file = io.BytesIO()
    pickle.Pickler(file, 2).dump(content)
    return file.getvalue()[2:-1]


def entry(key: str, value: Any) -> bytes:
    """The opcodes of one more entry of a dictionary."""
    return opcodes(key) + opcodes(value) + b"s"


def pickled(added: Callable[[], bytes]) -> Change:
    """Put opcodes before the end of the checkpoint's pickle, whose dictionary is on the stack there."""

    def edit(parts: dict[str, bytes]) -> None:
        name = next(name for name in parts if name.endswith("data.pkl"))
        assert parts[name].endswith(b".")
        parts[name] = parts[name][:-1] + added() + b"."

    return edited(edit)


def holding(value: Any) -> Change:
    """The checkpoint has one more entry, called `extra`."""
    return pickled(lambda: entry("extra", value))


def _equal_hashes() -> bytes:
    """Twenty thousand different integers with one hash: making a dictionary of them takes quadratic time."""
    keys = b"".join(b"\x8a" + bytes([30]) + ((2**61 - 1) * (2**170 + i)).to_bytes(30, "little") + b"N" for i in range(20_000))
    return opcodes("extra") + b"}(" + keys + b"us"


def _storage(kind: str, key: str, numbers: int) -> bytes:
    """A storage of the archive, as `torch.save` refers to it."""
    return b"(" + opcodes("storage") + f"ctorch\n{kind}\n".encode() + b"".join(map(opcodes, (key, "cpu", numbers))) + b"tQ"


def _doubling(count: int) -> bytes:
    """A tuple of twice the same tuple of twice the same …: 2**count tuples when walked through."""
    return opcodes("extra") + b")" + b"".join(b"r" + struct.pack("<I", 10**6 + i) + b"j" + struct.pack("<I", 10**6 + i) + b"\x86"
                                               for i in range(count)) + b"s"  # fmt: skip


def _described(content: bytes) -> Change:
    def edit(parts: dict[str, bytes]) -> None:
        parts[next(name for name in parts if name.endswith("data.pkl"))] = content

    return edited(edit)


TB = 10**12
ARCHIVES: dict[str, Hostile] = {
    name: archive(change)
    for name, change in (
        ("an archive without its directory", _without_directory),
        ("an archive whose directory is cut", _cut(60)),
        ("an archive cut in the middle of a tensor", lambda path: path.write_bytes(path.read_bytes()[:30_000])),
        ("an archive after other bytes", lambda path: path.write_bytes(b"#!/bin/sh\n" * 1000 + path.read_bytes())),
        ("an archive before other bytes", lambda path: path.write_bytes(path.read_bytes() + b"x" * 100_000)),
        ("an archive after a pickle", _after_pickle),
        ("an archive after a tape", _after_tar),
        ("an archive that describes another one before it", _behind_its_own_place),
        ("descriptions in large and small letters", edited(lambda parts: _all(parts, ("archive/DATA.PKL", b"\x80\x02}.")))),
        ("two archives in one file", lambda path: path.write_bytes(path.read_bytes() * 2)),
        ("checksums that are wrong", patched(b"PK\x01\x02", 16, b"abcd")),
        ("sizes of four gigabytes in the directory", patched(b"PK\x01\x02", 20, b"\xff\xff\xff\x7f" * 2)),
        ("sizes of four gigabytes before the parts", patched(b"PK\x03\x04", 18, b"\xff\xff\xff\x7f" * 2)),
        ("places beyond the end of the file", patched(b"PK\x01\x02", 42, b"\xff\xff\xff\x7f")),
        ("a compression that is not there", patched(b"PK\x01\x02", 10, b"\x08\x00")),
        ("a compression that nobody has", patched(b"PK\x01\x02", 10, b"\x63\x00")),
        ("parts that are encrypted", patched(b"PK\x01\x02", 8, b"\x01\x00")),
        ("an archive of fifteen gigabytes of nothing", _sparse),
        ("no description", edited(lambda parts: [(n, c) for n, c in parts.items() if not n.endswith("data.pkl")])),
        ("two descriptions", edited(lambda parts: _all(parts, ("archive/data.pkl", b"\x80\x02}.")))),
        ("descriptions in two folders", edited(lambda parts: _all(parts, ("other/data.pkl", b"\x80\x02}.")))),
        ("a tensor twice", edited(lambda parts: _all(parts, ("archive/data/0", b"x" * 100)))),
        ("no tensors", edited(lambda parts: [(n, c) for n, c in parts.items() if "/data/" not in n])),
        ("tensors that are cut", edited(lambda parts: [(n, c[:2] if "/data/" in n else c) for n, c in parts.items()])),
        ("a byte order that is none", edited(lambda parts: parts.update({"archive/byteorder": b"sideways"}))),
        ("an alignment that is none", edited(lambda parts: parts.update({"archive/.storage_alignment": b"-1"}))),
        ("a version of the far future", edited(lambda parts: parts.update({"archive/version": b"9" * 5000}))),
        ("a program for TorchScript", edited(lambda parts: parts.update({"archive/constants.pkl": b"\x80\x02)."}))),
        ("parts that lead outside", edited(lambda parts: _renamed(parts, "../../{}".format))),
        ("ten thousand parts", edited(lambda parts: _all(parts, *((f"archive/data/x{i}", b"") for i in range(10_000))))),
        ("a description of a hundred megabytes", _described(b"\x80\x02" + b"N0" * (50 * 2**20) + b"}.")),
        ("a description that is empty", _described(b"")),
        ("a description that never ends", _described(b"\x80\x02}")),
        ("a description of random bytes", _described(bytes(range(256)) * 20)),
        ("a description in another protocol", _described(pickle.dumps({"state_dict": {}}, 4))),
        ("a description of a million values", _described(b"\x80\x02](" + b"N" * 1_500_000 + b"e.")),
        ("a list a hundred thousand levels deep", holding(b"]" * 100_000 + b"a" * 99_999)),
        ("a tuple that doubles thirty times", pickled(lambda: _doubling(30))),
        ("a tuple that doubles a thousand times", pickled(lambda: _doubling(1000))),
        ("a dictionary in itself", holding(b"}q\xfeU\x01ah\xfes")),
        ("keys with one hash", pickled(_equal_hashes)),
        ("a key that cannot be one", holding(b"}]Ns")),
        ("a terabyte of bytes", holding(Called("__builtin__", "bytearray", TB))),
        ("ten gigabytes of bytes", holding(Called("__builtin__", "bytearray", 10**10))),
        ("a tensor of a terabyte", holding(Called("torch", "FloatTensor", TB // 4))),
        ("a storage of a terabyte", holding(Called("torch.storage", "UntypedStorage", TB))),
        ("a tensor without a storage", holding(Called("torch._utils", "_rebuild_meta_tensor_no_storage", 3, (TB,), (1,), False))),
        ("a codec that takes minutes", holding(Called("_codecs", "encode", "é" * 300_000, "punycode"))),
        ("a part of the archive that is larger than it", holding(_storage("FloatStorage", "0", TB))),
        ("a part of the archive that is not there", holding(_storage("FloatStorage", "nowhere", 3))),
        ("a part of a negative size", holding(_storage("FloatStorage", "0", -5))),
        ("a part of another place", holding(_storage("FloatStorage", "../../../etc/passwd", 3))),
        ("a storage that is no reference", holding(b"K\x07Q")),
        ("a program in the description", holding(Called("os", "mkdir", "PWNED"))),
        ("a program of torch in the description", holding(Called("torch.hub", "load", "somebody/evil", "x"))),
        ("a memo of four billion entries", holding(b"Nr\xff\xff\xff\xff")),
        ("a memo that nobody has filled", holding(b"j\x99\x99\x99\x09")),
        ("marks without an end", holding(b"(" * 100_000 + b"N")),
        ("a text that is longer than the file", holding(b"X\xff\xff\xff\x7fabc")),
        ("an integer of 255 bytes", holding(b"\x8a\xff" + b"\x7f" * 255)),
    )
}
