"""Every data set that is read by name, from tiny files in its published layout."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.data.tiny import SETS
from tests.running import REPOSITORY
from vae_lightning.data.base import ImageData
from vae_lightning.data.images import Images
from vae_lightning.data.published import DownloadedData, check_labels, spread
from vae_lightning.errors import InvalidValue, UserError

# option: kind, shape of an image, number of classes (None without labels), sizes of the splits
EXPECTED: dict[str, tuple[str, tuple[int, int, int], int | None, tuple[int, int, int]]] = {
    "celeba": ("colour", (3, 64, 64), None, (10, 4, 6)),
    "cifar10": ("colour", (3, 32, 32), 10, (40, 10, 10)),
    "cifar100": ("colour", (3, 32, 32), 100, (100, 100, 100)),
    "dsprites": ("binary", (1, 64, 64), 3, (300, 60, 120)),
    "emnist": ("binary", (1, 28, 28), 47, (47, 47, 47)),
    "frey": ("grey", (1, 28, 20), None, (30, 10, 20)),
    "kmnist": ("binary", (1, 28, 28), 10, (30, 10, 12)),
    "medmnist": ("colour", (3, 28, 28), 9, (40, 9, 12)),
    "omniglot": ("binary", (1, 28, 28), 50, (100, 50, 100)),
    "qmnist": ("binary", (1, 28, 28), 10, (30, 10, 12)),
    "shapes3d": ("colour", (3, 64, 64), 4, (198, 30, 60)),
    "smallnorb": ("grey", (1, 64, 64), 5, (30, 10, 12)),
    "stl10": ("colour", (3, 96, 96), 10, (30, 10, 12)),
    "svhn": ("colour", (3, 32, 32), 10, (30, 10, 12)),
    "usps": ("grey", (1, 16, 16), 10, (30, 10, 12)),
}


def data_class(option: str) -> type[Any]:
    target = yaml.safe_load((REPOSITORY / "conf" / "data" / f"{option}.yaml").read_text(encoding="utf-8"))["_target_"]
    module, _, name = target.rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def opened(option: str, root: Path, **more: Any) -> Any:
    """The data set of an option, which downloads nothing."""
    kind = data_class(option)
    off = {"download": False} if issubclass(kind, DownloadedData) else {}
    return kind(str(root), **{**SETS[option][1], **off, **more})


def write(option: str, root: Path) -> Path:
    if option == "shapes3d":
        pytest.importorskip("h5py")
    SETS[option][0](root)
    return root


def rows(images: Images) -> list[bytes]:
    return [image.tobytes() for image in images.images.numpy()]


def test_every_option_with_a_root_is_tested_here() -> None:
    files = (REPOSITORY / "conf" / "data").glob("*.yaml")
    with_root = {path.stem for path in files if "root" in yaml.safe_load(path.read_text(encoding="utf-8"))}
    assert with_root >= set(SETS)
    assert set(EXPECTED) == set(SETS)


@pytest.mark.parametrize("option", SETS)
def test_shapes_labels_and_splits(option: str, tmp_path: Path) -> None:
    data: ImageData = opened(option, write(option, tmp_path))
    splits, spec = data.splits(), data.spec()
    kind, shape, classes, sizes = EXPECTED[option]
    assert (spec.kind, spec.shape, spec.classes) == (kind, shape, classes)
    assert tuple(len(splits[name]) for name in ("train", "val", "test")) == sizes
    assert all(split.images.dtype == torch.uint8 and split.images.is_contiguous() for split in splits.values())
    assert all(len(split.labels) == len(split) and split.labels.dtype == torch.int64 for split in splits.values())
    if data.class_names is not None:
        assert len(set(data.class_names)) == len(data.class_names) == classes
    everything = [row for split in splits.values() for row in rows(split)]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("option", sorted(set(SETS) - {"celeba", "medmnist"}))
def test_val_is_drawn_by_split_seed_and_stratified(option: str, tmp_path: Path) -> None:
    write(option, tmp_path)
    data, again, other = (opened(option, tmp_path, split_seed=seed) for seed in (0, 0, 1))
    val = data.splits()["val"]
    assert rows(val) == rows(again.splits()["val"])
    assert set(rows(val)) != set(rows(other.splits()["val"]))
    counts = val.labels[val.labels >= 0].bincount()
    assert counts.numel() == 0 or counts.max() - counts.min() <= 1


@pytest.mark.parametrize("option", SETS)
def test_missing_files_are_one_sentence(option: str, tmp_path: Path) -> None:
    if option == "shapes3d":
        pytest.importorskip("h5py")
    with pytest.raises(UserError) as caught:
        opened(option, tmp_path / "nothing").splits()
    message = str(caught.value)
    for part in ("not found in", str(tmp_path / "nothing"), "data.root", "data=mnist5k, which needs no download."):
        assert part in message


@pytest.mark.parametrize("option", SETS)
def test_every_damaged_file_is_named(option: str, tmp_path: Path) -> None:
    """Each file cut short, of another kind, and empty."""
    write(option, tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    if option == "celeba":  # one picture stands for all
        files = [path for path in files if path.suffix == ".txt" or path.stem == "000003"]
    if option == "stl10":
        files = [path for path in files if "unlabeled" not in path.name]
    for path in files:
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) * 2 // 3 - 1], b"not what it was" * 20, b""):
            path.write_bytes(damaged)
            with pytest.raises(UserError) as caught:
                opened(option, tmp_path).splits()
            assert str(path) in str(caught.value)
            assert str(caught.value).endswith(".")
        path.write_bytes(whole)
    opened(option, tmp_path).splits()


@pytest.mark.parametrize("option", SETS)
def test_a_folder_in_place_of_a_file_is_refused(option: str, tmp_path: Path) -> None:
    write(option, tmp_path)
    path = next(path for path in sorted(tmp_path.rglob("*")) if path.is_file() and "unlabeled" not in path.name)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError) as caught:
        opened(option, tmp_path).splits()
    assert str(path) in str(caught.value)


DOWNLOADED = sorted(option for option in SETS if issubclass(data_class(option), DownloadedData))


@pytest.mark.parametrize("option", DOWNLOADED)
def test_absent_files_are_downloaded_once(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(self: DownloadedData) -> None:
        calls.append(self.root)
        write(option, self.root)

    monkeypatch.setattr(data_class(option), "fetch", fetch)
    for _ in range(2):
        assert len(opened(option, tmp_path, download=True).splits()["train"]) == EXPECTED[option][3][0]
    assert calls == [tmp_path]


@pytest.mark.parametrize("option", DOWNLOADED)
def test_a_failed_download_says_why(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(self: DownloadedData) -> None:
        raise RuntimeError("Error downloading")

    monkeypatch.setattr(data_class(option), "fetch", fetch)
    with pytest.raises(UserError, match=r"not found in .*, and the download failed \(is there a network\?\): set data\.root to"):
        opened(option, tmp_path, download=True).splits()
    monkeypatch.setattr(data_class(option), "fetch", lambda self: None)
    with pytest.raises(UserError, match=r"and the download did not bring them"):
        opened(option, tmp_path, download=True).splits()


@pytest.mark.parametrize("option", sorted(set(DOWNLOADED) - {"medmnist"}))
def test_torchvision_downloads_what_is_missing(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through its public classes, into the root."""
    from torchvision import datasets

    calls: list[dict[str, Any]] = []
    kind = data_class(option)
    monkeypatch.setattr(datasets, kind.__name__, lambda root, **arguments: calls.append({"root": root, **arguments}))
    opened(option, tmp_path, download=True).fetch()
    assert calls
    assert all(call["root"] == str(tmp_path) and call["download"] is True for call in calls)


@pytest.mark.parametrize("option", ["svhn", "omniglot", "frey"])
def test_scipy_that_is_missing_is_one_sentence(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    with pytest.raises(UserError, match=rf"^data={option} .* needs the package scipy: pip install 'vae-lightning\[matlab\]'"):
        opened(option, tmp_path).splits()


def test_h5py_that_is_missing_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UserError, match=r"^data=shapes3d .* needs the package h5py: pip install 'vae-lightning\[hdf5\]'"):
        opened("shapes3d", tmp_path).splits()


@pytest.mark.parametrize("option", SETS)
def test_a_root_that_is_no_folder_is_refused(option: str) -> None:
    with pytest.raises(InvalidValue, match=r"^root="):
        data_class(option)("")


def test_spread_puts_each_image_where_it_belongs() -> None:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    indices = {"train": np.array([9, 0, 4]), "val": np.array([3, 8])}
    for size in (1, 3, 10):
        blocks = (images[first : first + size] for first in range(0, 10, size))
        found = spread(blocks, indices, 10, (1, 1, 1))
        assert {name: part.flatten().tolist() for name, part in found.items()} == {"train": [9, 0, 4], "val": [3, 8]}
    with pytest.raises(ValueError, match="9 images instead of 10"):
        spread([images[:9]], indices, 10, (1, 1, 1))


def test_labels_out_of_range_are_noticed() -> None:
    assert check_labels(np.array([[0], [2]], dtype=np.uint8), 3).tolist() == [0, 2]
    for bad in ([3], [-1]):
        with pytest.raises(ValueError, match="a label is not in 0 … 2"):
            check_labels(np.array(bad), 3)
