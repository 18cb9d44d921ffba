from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.pictures import folder, grey, save, write_classes
from tests.running import REPOSITORY, run_interpreter
from vae_lightning.data import decode_all, image_cache
from vae_lightning.data.folder import Folder
from vae_lightning.data.image_cache import MANIFEST, delete_entry
from vae_lightning.errors import RunError, UserError
from vae_lightning.files import hold_lock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "pictures")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that were decoded."""
    names: list[str] = []
    look = decode_all._look

    def noting(root: Path, picture: decode_all.PictureFile, settings: decode_all.Settings) -> decode_all.Seen:
        names.append(picture.name)
        return look(root, picture, settings)

    monkeypatch.setattr(decode_all, "_look", noting)
    return names


@pytest.fixture
def nobody_reads(monkeypatch: pytest.MonkeyPatch) -> dict[Path, object]:
    """As if each use of the cache were another process that has ended."""
    used: dict[Path, object] = {}
    monkeypatch.setattr(image_cache, "_IN_USE", used)
    return used


def entries(root: Path) -> list[Path]:
    return sorted(path.parent for path in (root.parent / "cache").glob(f"*/{MANIFEST}"))


def test_pictures_are_decoded_once(root: Path, decoded: list[str]) -> None:
    first = folder(root).splits()
    assert sorted(decoded) == sorted(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(10))
    again = folder(root)
    assert torch.equal(again.splits()["train"].images, first["train"].images)
    assert len(decoded) == 20
    assert len(entries(root)) == 1
    (root / "new.txt").touch()  # no picture
    folder(root, val_size=3, batch_size=7).splits()
    assert len(decoded) == 20


def test_each_setting_that_changes_pixels_has_its_own_entry(root: Path) -> None:
    for settings in ({}, {"size": 4}, {"channels": "rgb"}, {"background": "black"}):
        folder(root, **settings).splits()
    assert len(entries(root)) == 4


@pytest.mark.parametrize("change", ["time", "content", "name", "more", "fewer"])
def test_an_entry_is_made_anew_when_a_file_changes(root: Path, decoded: list[str], change: str) -> None:
    folder(root).splits()
    decoded.clear()
    path = root / "cat" / "3.png"
    status = path.stat()
    pixels = grey()
    if change == "time":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif change == "content":
        save(path, np.full((6, 8), 3, np.uint8))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "name":
        path.rename(root / "cat" / "33.png")
    elif change == "more":
        save(root / "cat" / "99.png", pixels)
    else:
        path.unlink()
    splits = folder(root).splits()
    count = 20 + {"more": 1, "fewer": -1}.get(change, 0)
    assert len(decoded) == count
    found = torch.cat([split.images for split in splits.values()])
    assert len(found) == count
    assert change != "more" or pixels.tobytes() in {image.numpy().tobytes() for image in found}
    assert len(entries(root)) == 1
    assert len(list(entries(root)[0].iterdir())) == 2


def damage_length(entry: Path) -> None:
    array = next(entry.glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1])


def damage_excess(entry: Path) -> None:
    array = next(entry.glob("*.npy"))
    array.write_bytes(array.read_bytes() + b"x")


def damage_header(entry: Path) -> None:
    array = next(entry.glob("*.npy"))
    array.write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + array.read_bytes()[10:])


def damage_shape(entry: Path) -> None:
    array = next(entry.glob("*.npy"))
    array.write_bytes(array.read_bytes().replace(b"(20, 1, 6, 8)", b"(20, 1, 8, 6)"))


def damage_manifest(entry: Path) -> None:
    (entry / MANIFEST).write_text("{")


def damage_counts(entry: Path) -> None:
    text = (entry / MANIFEST).read_text()
    (entry / MANIFEST).write_text(text.replace('"totals":[', '"totals":[1,'))


def damage_place(entry: Path) -> None:
    text = (entry / MANIFEST).read_text()
    (entry / MANIFEST).write_text(text.replace('"images-', '"../images-'))


def damage_array(entry: Path) -> None:
    next(entry.glob("*.npy")).unlink()


def damage_all(entry: Path) -> None:
    (entry / MANIFEST).unlink()


DAMAGES = [
    damage_length,
    damage_excess,
    damage_header,
    damage_shape,
    damage_manifest,
    damage_counts,
    damage_place,
    damage_array,
    damage_all,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_anew(root: Path, decoded: list[str], damage: object) -> None:
    before = folder(root).splits()["train"].images
    decoded.clear()
    damage(entries(root)[0])  # type: ignore[operator]
    assert torch.equal(folder(root).splits()["train"].images, before)
    assert len(decoded) == 20
    assert len(list(entries(root)[0].iterdir())) == 2


def test_an_error_while_decoding_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, pixels: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decode_all.GrowingArray, "add", fail)
    with pytest.raises(RunError, match=r"There is not enough space in .*cache for the decoded pictures: set data.cache"):
        folder(root).splits()
    assert not list((root.parent / "cache").glob("*/*"))


KILLED = """
import os, sys
from vae_lightning.data import Folder, decode_all
look, seen = decode_all._look, []
def dying(*arguments):
    seen.append(0)
    if len(seen) == 15:
        os._exit(9)
    return look(*arguments)
decode_all._look = dying
Folder(sys.argv[1], cache=sys.argv[2]).splits()
"""
TOGETHER = """
import hashlib, sys
from vae_lightning.data import Folder, decode_all
look = decode_all._look
def noting(*arguments):
    sys.stderr.write("decoded\\n")
    return look(*arguments)
decode_all._look = noting
images = Folder(sys.argv[1], cache=sys.argv[2]).splits()["train"].images
sys.stdout.write(hashlib.sha256(images.numpy().tobytes()).hexdigest())
"""


def test_a_process_that_is_killed_in_the_middle_does_no_harm(root: Path) -> None:
    cache = root.parent / "cache"
    assert run_interpreter(["-c", KILLED, str(root), str(cache)], root.parent, {"PYTHONPATH": str(REPOSITORY)}).status == 9
    assert list(cache.glob("*/.*.tmp"))
    assert not entries(root)
    assert len(folder(root).splits()["train"]) == 16
    assert not list(cache.glob("*/.*.tmp"))


def test_two_processes_at_once_decode_once(root: Path) -> None:
    command = [sys.executable, "-c", TOGETHER, str(root), str(root.parent / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    results = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    assert sum(err.count("decoded\n") for _, err in results) == 20
    assert results[0][0] == results[1][0] != ""


# ---------------------------------------------------------------- bounding


def roots(tmp_path: Path, count: int) -> list[Path]:
    made = [tmp_path / str(i) for i in range(count)]
    for root in made:
        for i in range(5):
            save(root / f"{i}.png", grey(100, 100))
    return made  # each takes 50 kB


def use(root: Path, limit_kb: float) -> Path:
    before = set((root.parent / "cache").glob("*"))
    data = Folder(str(root), cache=str(root.parent / "cache"), cache_limit=limit_kb / 1e6)
    data.splits()
    made = [p for p in set((root.parent / "cache").glob("*")) - before if p.is_dir()]
    return made[0] if made else Path()


def test_what_was_not_used_for_longest_is_deleted_first(tmp_path: Path, nobody_reads: dict[Path, object]) -> None:
    first, second, third = roots(tmp_path, 3)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "of_mine").mkdir()
    (tmp_path / "cache" / "of_mine" / "images-12345678.npy").write_bytes(b"x" * 200_000)
    a, b = use(first, 120), use(second, 120)
    os.utime(a / MANIFEST, (1, 1))
    os.utime(b / MANIFEST, (2, 2))
    use(first, 120)  # now the second is the one that was not used for longest
    nobody_reads.clear()
    c = use(third, 120)
    assert a.exists()
    assert c.exists()
    assert not b.exists()
    assert (tmp_path / "cache" / "of_mine" / "images-12345678.npy").exists()


def test_an_entry_that_is_read_is_never_deleted(tmp_path: Path, nobody_reads: dict[Path, object]) -> None:
    first, second = roots(tmp_path, 2)
    a = use(first, 60)
    assert a in nobody_reads
    assert not delete_entry(a)
    nobody_reads.clear()
    other = hold_lock(a.with_name(f"{a.name}.used-by-1"))  # another process
    assert not delete_entry(a)
    use(second, 60)
    assert a.exists()
    del other
    assert delete_entry(a)
    assert not list(a.parent.glob(f"{a.name}.used-by-*"))


def test_more_than_the_limit_and_a_folder_that_cannot_be_written_are_sentences(tmp_path: Path) -> None:
    (root,) = roots(tmp_path, 1)
    with pytest.raises(UserError, match=r"take 0.01 GB, and the cache at most data.cache_limit=2e-05 \(GB\): make them smaller"):
        use(root, 20)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"The cache of pictures, .*file, cannot be written \(.*\): set data.cache"):
        Folder(str(root), cache=str(tmp_path / "file")).splits()


def test_the_map_is_read_only_and_shared(root: Path) -> None:
    splits = folder(root).splits()
    assert len({split.stored.data_ptr() for split in splits.values()}) == 1
    assert not splits["train"].stored.numpy().flags.owndata
    assert splits["train"].stored.shape == (20, 1, 6, 8)
