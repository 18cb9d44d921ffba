from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.pictures import colour, folder, grey, save, write_classes
from tests.running import Runner
from vae_lightning.data.folder import Folder
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, UserError


def all_images(splits: dict[str, Images]) -> torch.Tensor:
    return torch.cat([split.images for split in splits.values()])


def notes_of(data: Folder) -> list[str]:
    data.splits()
    return data.notes


def flat(root: Path, count: int = 10) -> list[np.ndarray]:
    pictures = [grey() for _ in range(count)]
    for i, picture in enumerate(pictures):
        save(root / f"{i}.png", picture)
    return pictures


# ---------------------------------------------------------------- layouts


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    pictures = flat(tmp_path / "pictures", 20)
    data = folder(tmp_path / "pictures")
    splits = data.splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 16, "val": 2, "test": 2}
    assert all((split.labels == -1).all() for split in splits.values())
    assert {image.numpy().tobytes() for image in all_images(splits)} == {picture.tobytes() for picture in pictures}
    assert data.spec().classes is None
    assert data.spec().class_names is None
    assert data.spec().kind == "grey"


def test_a_folder_for_each_class_with_files_at_any_depth(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pictures", ("dog", "cat"))
    deep = grey()
    save(root / "cat" / "more" / "deep" / "x.png", deep)
    data = folder(root)
    splits = data.splits()
    assert data.class_names == data.spec().class_names == ("cat", "dog")
    assert data.spec().classes == 2
    where = {picture.numpy().tobytes(): label for s in splits.values() for picture, label in zip(s.images, s.labels, strict=True)}
    assert where[deep.tobytes()] == 0
    assert torch.cat([split.labels for split in splits.values()]).bincount().tolist() == [11, 10]
    assert all(set(split.labels.tolist()) == {0, 1} for split in splits.values())
    assert "2 classes: cat, dog." in data.notes


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_folders_of_splits_with_classes(tmp_path: Path, val: str) -> None:
    root = tmp_path / "pictures"
    for split, each in (("train", 6), (val, 3), ("test", 2)):
        write_classes(root / split, ("a", "b"), each)
    splits = folder(root).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 12, "val": 6, "test": 4}
    assert splits["val"].labels.bincount().tolist() == [3, 3]


def test_folders_of_splits_without_classes_and_a_split_that_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    flat(root / "train", 20)
    held_out = flat(root / "test", 4)
    data = folder(root, val_size=5)
    splits = data.splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 15, "val": 5, "test": 4}
    assert {image.numpy().tobytes() for image in splits["test"].images} == {picture.tobytes() for picture in held_out}
    assert not any("too, byte for byte" in note for note in data.notes)


def test_a_picture_beside_the_classes_has_no_label_and_a_note(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pictures")
    save(root / "x.png", grey())
    data = folder(root)
    assert torch.cat([split.labels for split in data.splits().values()]).min() == -1
    assert "1 picture is in no folder of a class, and without a label." in data.notes


def test_splits_are_a_function_of_their_seed(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pictures", each=20)

    def val(seed: int) -> torch.Tensor:
        return folder(root, split_seed=seed).splits()["val"].images

    assert torch.equal(val(0), val(0))
    assert not torch.equal(val(0), val(1))


def test_images_in_two_splits_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    same = flat(root / "train", 10)
    save(root / "test" / "again.png", np.dstack([same[3]] * 3))
    assert "1 of the 1 test images is in train too, byte for byte." in notes_of(folder(root))


# ---------------------------------------------------------------- what is in the folder


def test_files_that_are_no_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    flat(root)
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "more.txt", "._0.png", "README"):
        (root / name).write_bytes(b"text")
    (root / ".git").mkdir()
    save(root / ".git" / "x.png", grey())
    os.mkfifo(root / "pipe")
    data = folder(root)
    assert len(all_images(data.splits())) == 10
    assert data.notes[0].startswith("7 files that are no pictures were skipped (.txt")


def test_a_picture_without_an_ending_is_found(tmp_path: Path) -> None:
    flat(tmp_path / "pictures", 4)
    (tmp_path / "pictures" / "0.png").rename(tmp_path / "pictures" / "0")
    assert len(all_images(folder(tmp_path / "pictures").splits())) == 4


def test_a_note_says_what_was_laid_over_and_left_out(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    flat(root)
    save(root / "clear.png", np.dstack([colour(), grey()]))
    save(root / "blank.png", np.full((6, 8), 7, np.uint8))
    notes = notes_of(folder(root, background="black"))
    assert "1 picture is transparent, and laid over black (data.background)." in notes
    assert "1 picture is of one colour throughout (the first is blank.png)." in notes


def test_one_colour_picture_makes_all_rgb(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    pictures = flat(root, 20)
    assert folder(root).spec().shape == (1, 6, 8)
    tint = colour()
    save(root / "9a.png", tint)  # after half of the others
    data = folder(root)
    assert data.spec().shape == (3, 6, 8)
    assert data.spec().kind == "colour"
    found = {image.numpy().tobytes() for image in all_images(data.splits())}
    assert found == {np.stack([p] * 3).tobytes() for p in pictures} | {tint.transpose(2, 0, 1).tobytes()}
    assert data.spec().mean == pytest.approx(float(data.splits()["train"].images.double().mean()) / 255)
    assert folder(root, channels="grey").spec().shape == (1, 6, 8)
    (root / "9a.png").unlink()
    assert folder(root, channels="rgb").spec().shape == (3, 6, 8)


def test_pictures_of_two_values_are_binary(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / "pictures" / f"{i}.png", (grey() > 127) * np.uint8(255))
    assert folder(tmp_path / "pictures").spec().kind == "binary"


def test_unequal_sizes_are_one_sentence_or_made_equal(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    flat(root)
    save(root / "zz.png", grey(12, 30))
    expected = r"^The pictures have different sizes: 0.png is 8×6 and zz.png 30×12 \(width × height\); set data.size,"
    with pytest.raises(UserError, match=expected):
        folder(root).splits()
    assert list((tmp_path / "cache").glob("*/*")) == []
    assert folder(root, size=4).spec().shape == (1, 4, 4)
    assert folder(root, size=[4, 5]).spec().shape == (1, 4, 5)


def test_broken_pictures_are_named_or_left_out(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    write_classes(root)
    for name in ("cat/3.png", "dog/5.png"):
        (root / name).write_bytes(b"not a picture")
    for _ in range(2):  # decoded, and from the cache
        expected = r"cat/3.png is broken \(it is no picture of a known format\), and so is 1 other: .*broken=skip"
        with pytest.raises(UserError, match=expected):
            folder(root).splits()
    data = folder(root, broken="skip")
    assert torch.cat([split.labels for split in data.splits().values()]).bincount().tolist() == [9, 9]
    assert "2 pictures are broken and left out (the first is cat/3.png)." in data.notes


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    root.mkdir()
    for name in "ab":
        (root / f"{name}.png").touch()
    for broken in ("stop", "skip"):
        with pytest.raises(UserError, match=r"None of the 2 pictures can be decoded, the first being .*a.png \(it is empty\)"):
            folder(root, broken=broken).splits()


def test_the_first_pictures_may_be_broken(tmp_path: Path) -> None:
    pictures = flat(tmp_path / "pictures", 8)
    (tmp_path / "pictures" / "0.png").write_bytes(b"")
    splits = folder(tmp_path / "pictures", broken="skip").splits()
    assert {image.numpy().tobytes() for image in all_images(splits)} == {picture.tobytes() for picture in pictures[1:]}


# ---------------------------------------------------------------- sentences


def nothing(root: Path) -> None: ...


def an_empty_folder(root: Path) -> None:
    root.mkdir()


def text_only(root: Path) -> None:
    root.mkdir()
    (root / "a.txt").write_text("x")


def a_file(root: Path) -> None:
    save(root.with_suffix(".png"), grey()).rename(root)


def one_picture(root: Path) -> None:
    flat(root, 1)


def two_pictures(root: Path) -> None:
    flat(root, 2)


def a_link_outside(root: Path) -> None:
    flat(root)
    (root / "x.png").symlink_to(save(root.parent / "elsewhere.png", grey()))


def a_folder_outside(root: Path) -> None:
    flat(root)
    (root / "more").symlink_to(save(root.parent / "elsewhere" / "x.png", grey()).parent)


def a_dangling_link(root: Path) -> None:
    flat(root)
    (root / "x.png").symlink_to(root / "gone.png")


def a_fifo(root: Path) -> None:
    flat(root)
    os.mkfifo(root / "x.png")


def splits_and_classes(root: Path) -> None:
    for name in ("train", "test", "cat"):
        flat(root / name)


def no_train(root: Path) -> None:
    for name in ("val", "test"):
        flat(root / name)


def two_of_a_split(root: Path) -> None:
    for name in ("train", "val", "valid"):
        flat(root / name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, r"^data.root=.*pictures: there is no such folder"),
        (an_empty_folder, r"holds no pictures \(PNG, JPEG, WebP, GIF, BMP or TIFF\)\.$"),
        (text_only, r"holds no pictures .*, but 1 file that is no picture was skipped \(.txt\)\.$"),
        (a_file, r"pictures is no folder: set data.root"),
        (one_picture, r"leave nothing of the only image for training: there must be at least 3"),
        (two_pictures, r"leave nothing of the 2 images for training: there must be at least 3"),
        (a_link_outside, r"x.png is a link that leads out of data.root, to .*elsewhere.png, and is not followed"),
        (a_folder_outside, r"more is a link that leads out of data.root"),
        (a_dangling_link, r"x.png is a link that leads nowhere"),
        (a_fifo, r"x.png is a FIFO, a device or a socket"),
        (splits_and_classes, r"folders of splits \(test, train\) and, beside them, other pictures, such as cat/0.png"),
        (no_train, r"holds test, val, but no folder train"),
        (two_of_a_split, r"holds val and valid, which name the same split"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "pictures")
    with pytest.raises(UserError, match=message) as caught:
        folder(tmp_path / "pictures").splits()
    assert "\n" not in str(caught.value)


def test_unreadable_files_and_folders_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is made to refuse, since root, as which containers run tests, may read everything."""
    root = tmp_path / "pictures"
    flat(root)
    refused, open_picture, scan = root / "0.png", Image.open, os.scandir

    def denied(path: Any) -> PermissionError:
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def open_unless_refused(path: Any, **more: Any) -> Any:
        if Path(path) == refused:
            raise denied(path)
        return open_picture(path, **more)

    def scan_unless_refused(path: Any) -> Any:
        if Path(path) == refused:
            raise denied(path)
        return scan(path)

    monkeypatch.setattr(Image, "open", open_unless_refused)
    monkeypatch.setattr(os, "scandir", scan_unless_refused)
    with pytest.raises(UserError, match=r"0.png is broken \(it cannot be read \(Permission denied\)\)"):
        folder(root).splits()
    refused = root
    with pytest.raises(UserError, match=r"pictures cannot be read \(Permission denied\): change its permissions or move it"):
        folder(root).splits()


def test_links_inside_are_followed_to_files_and_counted_once_for_folders(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pictures")
    (root / "cat" / "link.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "loop").symlink_to(root)
    assert len(all_images(folder(root).splits())) == 21


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("size", 0),
        ("size", [4]),
        ("size", [4, 5, 6]),
        ("size", "64"),
        ("size", 10**6),
        ("channels", "bgr"),
        ("background", "red"),
        ("broken", True),
        ("cache_limit", 0),
        ("val_size", 1.5),
        ("root", None),
        ("cache", 3),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=f"^{setting}="):
        Folder(**{"root": str(tmp_path), setting: value})  # type: ignore[arg-type]


# ---------------------------------------------------------------- from the command line


def test_a_run_is_measured_from_any_folder_and_with_the_pictures_elsewhere(runner: Runner, monkeypatch: Any) -> None:
    write_classes(runner.cwd / "pictures")
    monkeypatch.setenv("XDG_CACHE_HOME", str(runner.cwd / "home"))
    quick = ("trainer.max_epochs=1", "logger=none", "model.hidden=[8]")
    run = runner.trained("data=folder", "data.root=pictures", "data.channels=grey", *quick)
    config = (run / "config.yaml").read_text()
    assert f"root: {runner.cwd / 'pictures'}\n" in config
    assert "kind: grey" in config
    assert "- cat\n" in config
    assert list((runner.cwd / "home" / "vae_lightning" / "images").glob("*/manifest.json"))
    elsewhere = runner.cwd / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    first = runner("evaluate", f"run={run}", "measures=[]")
    assert first.status == 0, first.err
    (runner.cwd / "pictures").rename(runner.cwd / "moved")
    monkeypatch.setattr("vae_lightning.config.build._LOADED", {})
    gone = runner("evaluate", f"run={run}", "measures=[]")
    assert gone.status == 2
    assert f"data.root={runner.cwd / 'pictures'}: there is no such folder" in gone.err
    again = runner("evaluate", f"run={run}", "measures=[]", f"data.root={runner.cwd / 'moved'}")
    assert again.status == 0, again.err


def test_the_first_images_of_a_split_that_is_given_are_not_of_one_class(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_classes(tmp_path / "pictures" / split, ("a", "b"), 20)
    assert set(folder(tmp_path / "pictures").splits()["val"].labels[:10].tolist()) == {0, 1}
