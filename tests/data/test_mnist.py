from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from vae_lightning.data.images import Images
from vae_lightning.data.mnist import FILES, MNIST, FashionMNIST
from vae_lightning.errors import InvalidValue, UserError


def write_files(raw: Path, train: int = 40, test: int = 10) -> None:
    """Files in the official layout, labels 0 … 9 in turn and each image of its label's grey."""
    raw.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.broadcast_to(labels[:, None, None], (count, 28, 28))
        for name, array in zip(FILES[split], (images, labels), strict=True):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (raw / name).write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def mnist(data_root: Path) -> dict[str, Images]:
    return MNIST(str(data_root), download=False).splits()


def test_the_official_files(mnist: dict[str, Images]) -> None:
    assert {name: tuple(split.images.shape) for name, split in mnist.items()} == {
        "train": (50_000, 1, 28, 28),
        "val": (10_000, 1, 28, 28),
        "test": (10_000, 1, 28, 28),
    }
    assert all(split.images.dtype == torch.uint8 for split in mnist.values())
    assert mnist["test"].labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_train_and_val_share_out_the_official_training_set(mnist: dict[str, Images], data_root: Path) -> None:
    official = np.frombuffer((data_root / "MNIST/raw/train-labels-idx1-ubyte").read_bytes()[8:], dtype=np.uint8)
    counts = np.bincount(official)
    together = torch.cat([mnist["train"].labels, mnist["val"].labels])
    assert together.bincount().tolist() == counts.tolist()
    assert (np.abs(mnist["val"].labels.bincount().numpy() - counts / 6) < 1).all()
    assert mnist["train"].images.float().mean() / 255 == pytest.approx(0.1307, abs=0.001)


def test_the_test_images_are_not_among_the_training_images(mnist: dict[str, Images]) -> None:
    rows = {name: {image.tobytes() for image in split.images.numpy()} for name, split in mnist.items()}
    assert len(rows["train"]) == 50_000
    assert rows["train"].isdisjoint(rows["val"])
    assert rows["train"].isdisjoint(rows["test"])


def test_fashion_mnist_has_a_folder_of_its_own(data_root: Path) -> None:
    if not (data_root / "FashionMNIST" / "raw").exists():
        pytest.skip(f"the FashionMNIST files are not in {data_root}")
    splits = FashionMNIST(str(data_root), download=False).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 50_000, "val": 10_000, "test": 10_000}
    assert splits["test"].labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_each_image_keeps_its_label(tmp_path: Path) -> None:
    write_files(tmp_path / "MNIST" / "raw")
    splits = MNIST(str(tmp_path), download=False, val_size=20).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 20, "val": 20, "test": 10}
    assert splits["val"].labels.bincount().tolist() == [2] * 10
    for split in splits.values():
        assert torch.equal(split.images[:, 0, 5, 5].long(), split.labels)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_missing_files_without_a_download(kind: type[MNIST], tmp_path: Path) -> None:
    write_files(tmp_path / kind.folder / "raw")
    (tmp_path / kind.folder / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError) as caught:
        kind(str(tmp_path), download=False).splits()
    message = str(caught.value)
    assert message.startswith("t10k-labels-idx1-ubyte not found in ")
    for part in (str(tmp_path / kind.folder / "raw"), "data.download=false", "data.root", "data=mnist5k"):
        assert part in message


@pytest.mark.parametrize("failure", [RuntimeError("Error downloading"), OSError("no route to host")])
def test_a_failed_download_names_files_folder_and_the_way_round(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(datasets, "MNIST", fail)
    with pytest.raises(UserError) as caught:
        MNIST(str(tmp_path)).splits()
    names = [name for pair in FILES.values() for name in pair]
    for part in (*names, str(tmp_path / "MNIST" / "raw"), "the download failed", "data=mnist5k"):
        assert part in str(caught.value)


def test_absent_files_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = []

    def download(root: str, download: bool) -> None:
        downloads.append((root, download))
        write_files(Path(root) / "MNIST" / "raw")

    monkeypatch.setattr(datasets, "MNIST", download)
    for _ in range(2):
        assert len(MNIST(str(tmp_path), val_size=10).splits()["train"]) == 30
    assert downloads == [(str(tmp_path), True)]


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    write_files(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="train-images-idx3-ubyte is damaged"):
        MNIST(str(tmp_path), download=False, val_size=10).splits()


@pytest.mark.parametrize("bad", [{"root": ""}, {"root": None}, {"download": "no"}])
def test_values_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        MNIST(**bad)  # type: ignore[arg-type]


def test_a_validation_set_as_large_as_the_training_set_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "MNIST" / "raw")
    with pytest.raises(InvalidValue, match=r"^val_size=40"):
        MNIST(str(tmp_path), val_size=40).splits()
