from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vae_lightning.data import arrays
from vae_lightning.data.arrays import Arrays
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, UserError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
Y = np.arange(60) % 3


def _hdf5(path: Path, **arrays: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=array)


def _idx(array: np.ndarray) -> bytes:
    return b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _places(splits: dict[str, Images], all_images: np.ndarray = X) -> dict[str, list[int]]:
    """Which of the images each split has."""
    known = {image.tobytes(): i for i, image in enumerate(all_images)}
    return {name: [known[image.numpy().tobytes()] for image in split.images] for name, split in splits.items()}


WRITERS: dict[str, Callable[[Path], object]] = {
    "npy": lambda path: np.save(path.open("wb"), X),
    "fortran": lambda path: np.save(path.open("wb"), np.asfortranarray(X)),
    "npz": lambda path: np.savez(path.open("wb"), images=X, other=Y[:5]),
    "npz_packed": lambda path: np.savez_compressed(path.open("wb"), X),
    "tensor": lambda path: torch.save(torch.from_numpy(X), path),
    "old_tensor": lambda path: torch.save(torch.from_numpy(X), path, _use_new_zipfile_serialization=False),
    "dict": lambda path: torch.save({"x": torch.from_numpy(X), "epoch": 3}, path),
    "hdf5": lambda path: _hdf5(path, data=X),
    "idx": lambda path: path.write_bytes(_idx(X)),
    "idx_packed": lambda path: path.write_bytes(gzip.compress(_idx(X))),
}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_format_gives_the_same_images(tmp_path: Path, format: str) -> None:
    path = tmp_path / ("images.pt" if format == "old_tensor" else "images")  # the ending does not tell
    WRITERS[format](path)
    np.save(tmp_path / "y.npy", Y)
    data = Arrays(str(path), str(tmp_path / "y.npy"))
    splits = data.splits()
    places = _places(splits)
    assert {name: len(indices) for name, indices in places.items()} == {"train": 48, "val": 6, "test": 6}
    assert sorted(i for indices in places.values() for i in indices) == list(range(60))
    for name, split in splits.items():
        assert split.labels.tolist() == Y[places[name]].tolist()
    assert data.spec().kind == "grey"
    assert data.spec().classes == 3


def test_large_files_are_memory_maps(tmp_path: Path) -> None:
    from vae_lightning.data.array_files import open_arrays

    array = np.zeros((40, 1, 200, 200), np.uint8)
    np.save(tmp_path / "x.npy", array)
    assert isinstance(open_arrays(tmp_path / "x.npy", "data.images").read(""), np.memmap)
    _hdf5(tmp_path / "x.h5", x=array)
    assert isinstance(open_arrays(tmp_path / "x.h5", "data.images").read("x"), np.memmap)


@pytest.mark.parametrize("shape", [(60, 1, 6, 5), (60, 6, 5, 1)])
def test_splits_of_large_files_share_the_memory_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(arrays, "KEPT_BYTES", 1000)
    np.save(tmp_path / "x.npy", X.reshape(shape))
    splits = Arrays(str(tmp_path / "x.npy")).splits()
    assert {split.stored.data_ptr() for split in splits.values()} == {splits["train"].stored.data_ptr()}
    places = _places(splits)
    monkeypatch.setattr(arrays, "KEPT_BYTES", 2**30)
    assert places == _places(Arrays(str(tmp_path / "x.npy")).splits())


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
     ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")],
)  # fmt: skip
def test_splits_that_keys_name_are_taken(tmp_path: Path, names: tuple[str, ...]) -> None:
    parts: list[Any] = [X[:40], Y[:40], X[40:50], Y[40:50], X[50:], Y[50:]]
    np.savez(tmp_path / "a.npz", **dict(zip(names, parts, strict=True)))
    data = Arrays(str(tmp_path / "a.npz"))
    splits = data.splits()
    assert _places(splits) == {"train": [*range(40)], "val": [*range(40, 50)], "test": [*range(50, 60)]}
    assert splits["test"].labels.tolist() == Y[50:].tolist()
    assert f"The splits are those of the file: {names[0]}, {names[2]}, {names[4]}." in data.notes
    assert f"Labels are {names[1]}, {names[3]}, {names[5]} in the same file." in data.notes


def test_splits_in_groups_of_hdf5_are_taken_and_the_missing_one_is_made(tmp_path: Path) -> None:
    _hdf5(tmp_path / "a.h5", train__x=X[:50], train__y=Y[:50], test__x=X[50:])
    splits = Arrays(str(tmp_path / "a.h5"), val_size=5).splits()
    places = _places(splits)
    assert places["test"] == [*range(50, 60)]
    assert sorted(places["train"] + places["val"]) == [*range(50)]
    assert len(places["val"]) == 5
    assert splits["val"].labels.tolist() == Y[places["val"]].tolist()
    assert splits["test"].labels.tolist() == [-1] * 10  # the file has none for them


def test_keys_may_be_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=X, second=255 - X, kinds=Y)
    path = str(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"a\.npz holds 3 arrays, first, second, kinds: say which one with data\.images_key=…\."):
        Arrays(path).splits()
    splits = Arrays(path, images_key="first", labels_key="kinds").splits()
    assert splits["train"].labels.tolist() == Y[_places(splits)["train"]].tolist()
    with pytest.raises(UserError, match=r"data\.images_key=third: .*a\.npz holds first, second, kinds\."):
        Arrays(path, images_key="third").splits()


def test_targets_stay_with_their_images(tmp_path: Path) -> None:
    numbers = RNG.normal(size=(60, 2))
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "t.npy", numbers)
    splits = Arrays(str(tmp_path / "x.npy"), targets=str(tmp_path / "t.npy")).splits()
    places = _places(splits)
    for name, split in splits.items():
        assert split.targets is not None
        assert np.array_equal(split.targets.numpy(), numbers[places[name]].astype(np.float32))
        assert (split.labels == -1).all()
    np.save(tmp_path / "t.npy", numbers[:7])
    with pytest.raises(UserError, match=r"There are 60 images but 7 targets: data\.targets must have one for each image\."):
        Arrays(str(tmp_path / "x.npy"), targets=str(tmp_path / "t.npy")).splits()
    np.save(tmp_path / "t.npy", np.where(np.arange(60) == 8, np.nan, 0))
    with pytest.raises(UserError, match=r"data\.targets: number 8, counted from 0, holds NaN"):
        Arrays(str(tmp_path / "x.npy"), targets=str(tmp_path / "t.npy")).splits()


def test_what_was_noticed_is_said(tmp_path: Path) -> None:
    x = np.concatenate([X[:56], X[:3], np.zeros((1, 6, 5), np.uint8)])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.where(np.arange(60) < 30, -1, Y + 1))
    data = Arrays(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), val_size=0.3)
    data.splits()
    notes = " ".join(data.notes)
    assert "Grey images of 6×5 from uint8 NHW." in notes
    assert "1 of 60 images is constant, all zero (the first is number 59, counted from 0)." in notes
    assert "30 of 60 images have no label" in notes
    assert "Labels became classes numbered from 0: 1 → 0, 2 → 1, 3 → 2." in notes
    assert "byte for byte" in notes
    assert data.class_names == ("1", "2", "3")
    assert data.spec().classes is None


@pytest.mark.parametrize(("images", "labels"), [(1200, 200), (60, 300)])
def test_as_many_labels_as_images(tmp_path: Path, images: int, labels: int) -> None:
    np.save(tmp_path / "x.npy", np.zeros((images, 3, 3), np.uint8))
    np.save(tmp_path / "y.npy", np.zeros(labels, int))
    with pytest.raises(UserError, match=rf"There are {images:,} images but {labels} labels: data\.labels must have one for each"):
        Arrays(str(tmp_path / "x.npy"), str(tmp_path / "y.npy")).splits()


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/never",)


def _terabyte(path: Path) -> None:
    """Torch's older format with a call that takes ten gigabytes of memory."""
    beginning: tuple[object, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in beginning))
    with path.open("ab") as file:
        file.write(b"\x80\x02c__builtin__\nbytearray\n(\x8a\x05\x00\xe4\x0bT\x02tR.")


def _tape(path: Path) -> None:
    """Torch's oldest format, a tape whose first name is a pickle; torch would unpack it into a temporary folder."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as file:
        file.addfile(tarfile.TarInfo("\udc80\x02]."), io.BytesIO())  # a byte 0x80


def _ragged(path: Path) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros((2, 2)), np.zeros((3, 3))]
    with path.open("wb") as file:
        np.save(file, ragged, allow_pickle=True)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.write_bytes(b""), r"images\.pt is empty: it must be \.npy, \.npz, HDF5"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n1234"), r"is none of the files that data\.images can name"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00garbage"), r"images\.pt is damaged and cannot be read\."),
        (lambda path: path.write_bytes(b"PK\x03\x04garbage"), r"images\.pt is damaged and cannot be read\."),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\ngarbage"), r"images\.pt is damaged and cannot be read\."),
        (lambda path: path.write_bytes(pickle.dumps(Bomb(), 2)), r"holds more than tensors and plain data \(or is damaged\)"),
        (lambda path: torch.save(Bomb(), path), r"holds more than tensors and plain data \(or is damaged\)"),
        (lambda path: torch.save(torch.zeros(1).expand(10**6, 1000, 1000), path), r"whose numbers share their memory"),
            (_terabyte, r"holds more than tensors and plain data \(or is damaged\)"),
        (_tape, r"is an archive of a very old torch, and is not read: save it again\."),
        (lambda path: torch.save({"epoch": 3}, path), r"holds no tensor: save a tensor, or a dict of tensors\."),
        (_ragged, r"images\.pt holds Python objects, which are not read because they can run code"),
        (lambda path: os.mkfifo(path), r"images\.pt is a FIFO, not an ordinary file, and is not read\."),
        (lambda path: path.mkdir(), r"images\.pt is a folder, not an ordinary file, and is not read\."),
        (lambda path: None, r"data\.images: there is no file .*images\.pt; if it has moved, set data\.images to where it is\."),
    ],
)  # fmt: skip
def test_other_files_are_one_sentence(tmp_path: Path, write: Callable[[Path], object], sentence: str) -> None:
    if "HDF" in str(write.__code__.co_consts):
        pytest.importorskip("h5py")
    write(tmp_path / "images.pt")
    with pytest.raises(UserError, match=sentence) as caught:
        Arrays(str(tmp_path / "images.pt")).splits()
    assert caught.value.status == 2
    assert not Path("/tmp/never").exists()


def test_a_truncated_array_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((50, 200, 200), np.uint8))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"x\.npy is damaged and cannot be read\."):
        Arrays(str(path)).splits()


def test_hdf5_without_its_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(tmp_path / "x.h5", x=X)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UserError, match=r"is an HDF5 file, which the package h5py reads: pip install 'vae-lightning\[hdf5\]'\."):
        Arrays(str(tmp_path / "x.h5")).splits()


@pytest.mark.parametrize(
    "arguments",
    [{}, {"images": ""}, {"images": 3}, {"images": "x", "labels": 3}, {"images": "x", "images_key": 3},
     {"images": "x", "layout": "HW"}, {"images": "x", "range": [1, 0]}, {"images": "x", "val_size": 0}],
)  # fmt: skip
def test_settings_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="must be"):
        Arrays(**arguments)
