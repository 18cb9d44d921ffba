"""Our readers of published files give, image by image, what torchvision's own classes read from the same files.

The files are tiny, so torchvision's checksums of the real ones are left out; whatever else it demands of a file holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from tests.data.test_published import opened, write
from tests.data.tiny import python2_pickle, write_emnist
from vae_lightning.data.images import Images

Pair = tuple[bytes, int]

# option: torchvision's data set of our train and val together, and of our test; what our data set is told
BOTH: dict[str, tuple[Callable[[Path, bool], Any], dict[str, Any]]] = {
    "kmnist": (lambda root, train: datasets.KMNIST(str(root), train=train), {}),
    "emnist": (lambda root, train: datasets.EMNIST(str(root), "balanced", train=train), {}),
    "qmnist": (lambda root, train: datasets.QMNIST(str(root), what="train" if train else "test"), {}),
    "cifar10": (lambda root, train: datasets.CIFAR10(str(root), train=train), {}),
    "cifar100": (lambda root, train: datasets.CIFAR100(str(root), train=train), {}),
    "svhn": (lambda root, train: datasets.SVHN(str(root), split="train" if train else "test"), {}),
    "stl10": (lambda root, train: datasets.STL10(str(root), split="train" if train else "test"), {}),
}


@pytest.fixture(autouse=True)
def _no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifar", "svhn", "stl10", "celeba"):
        module = getattr(datasets, name)
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


def theirs(data: Any) -> list[Pair]:
    """(pixels, class) of each image; pixels as (height, width) or (height, width, 3)."""
    return [(np.asarray(image).tobytes(), int(label)) for image, label in (data[i] for i in range(len(data)))]


def ours(images: Images, transposed: bool = False) -> list[Pair]:
    pixels = images.images.permute(0, 2, 3, 1)
    pixels = pixels.transpose(1, 2) if transposed else pixels
    return [(row.numpy().tobytes(), label) for row, label in zip(pixels.contiguous(), images.labels.tolist(), strict=True)]


@pytest.mark.parametrize("option", BOTH)
def test_images_and_labels_are_those_of_torchvision(option: str, tmp_path: Path) -> None:
    """Test images in their order; training images, which we shuffle, as a set. EMNIST's are published transposed."""
    read, told = BOTH[option]
    write(option, tmp_path)
    write_names(tmp_path)
    splits = opened(option, tmp_path, **told).splits()
    transposed = option == "emnist"
    assert ours(splits["test"], transposed) == theirs(read(tmp_path, False))
    both = ours(splits["train"], transposed) + ours(splits["val"], transposed)
    assert Counter(both) == Counter(theirs(read(tmp_path, True)))


def test_usps_is_that_of_torchvision_but_rounded(tmp_path: Path) -> None:
    """Published values in [−1, 1] become levels: torchvision cuts them off, which darkens the images by half a level."""
    write("usps", tmp_path)
    splits, published = opened("usps", tmp_path).splits(), datasets.USPS(str(tmp_path), train=False)
    difference = splits["test"].images[:, 0].int() - torch.from_numpy(published.data).int()
    assert set(difference.unique().tolist()) == {0, 1}
    assert 0.45 < difference.float().mean() < 0.55
    assert splits["test"].labels.tolist() == list(published.targets)


def write_names(root: Path) -> None:
    """The names of CIFAR's classes, which torchvision reads from a file beside the images."""
    for folder, file, key, count in (
        ("cifar-10-batches-py", "batches.meta", "label_names", 10),
        ("cifar-100-python", "meta", "fine_label_names", 100),
    ):
        if (root / folder).is_dir():
            (root / folder / file).write_bytes(python2_pickle({key: list(range(count))}))


@pytest.mark.parametrize("split", ["letters", "digits", "byclass", "bymerge", "mnist"])
def test_the_splits_of_emnist(split: str, tmp_path: Path) -> None:
    """Labels of `letters` are published from 1, and torchvision keeps a class 0 without images for it."""
    first, classes = (1, 26) if split == "letters" else (0, {"byclass": 62, "bymerge": 47}.get(split, 10))
    write_emnist(tmp_path, split, classes, first)
    data = opened("emnist", tmp_path, split=split, val_size=classes)
    assert [(pixels, label + first) for pixels, label in ours(data.splits()["test"], transposed=True)] == theirs(
        datasets.EMNIST(str(tmp_path), split, train=False)
    )
    if split != "bymerge":  # where torchvision names a class after both of the letters that it merges
        expected = datasets.EMNIST(str(tmp_path), split, train=False).classes[first:]
        assert list(data.class_names) == expected


@pytest.mark.parametrize("part", ["test10k", "test50k"])
def test_the_test_images_of_qmnist(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.data.tiny import write_qmnist

    write_qmnist(tmp_path, 10_030)
    data = opened("qmnist", tmp_path, test=part)
    found = ours(data.splits()["test"])
    assert len(found) == (10_000 if part == "test10k" else 30)
    assert found[:40] == theirs(datasets.QMNIST(str(tmp_path), what=part))[:40]


def test_the_unlabelled_images_of_stl10(tmp_path: Path) -> None:
    write("stl10", tmp_path)
    splits = opened("stl10", tmp_path, split="unlabeled").splits()
    both = ours(splits["train"]) + ours(splits["val"])
    assert Counter(both) == Counter(theirs(datasets.STL10(str(tmp_path), split="unlabeled")))


def write_other_lists(folder: Path) -> Iterator[str]:
    """The lists of CelebA that torchvision demands and we do not read."""
    names = [line.split()[0] for line in (folder / "list_eval_partition.txt").read_text().splitlines()]
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in names))
    for file, columns in (("list_bbox_celeba.txt", 4), ("list_landmarks_align_celeba.txt", 10)):
        header = " ".join(f"c{i}" for i in range(columns))
        rows = "".join(f"{name} {' '.join('1' * columns)}\n" for name in names)
        (folder / file).write_text(f"{len(names)}\n{header}\n{rows}")
    yield from names


@pytest.mark.parametrize("size", [64, 148])
def test_faces_attributes_and_parts_of_celeba(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("celeba", tmp_path)
    assert len(list(write_other_lists(tmp_path / "celeba"))) == 20
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    splits = opened("celeba", tmp_path, size=size).splits()
    crop = transforms.Compose([transforms.CenterCrop(148), transforms.Resize(size, Image.Resampling.BILINEAR)])
    for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        data = datasets.CelebA(str(tmp_path), split=name, transform=crop)
        images = torch.from_numpy(np.stack([np.asarray(image) for image, _ in data])).permute(0, 3, 1, 2)
        assert torch.equal(splits[split].images, images)
        assert splits[split].targets is not None
        assert torch.equal(splits[split].targets, torch.stack([attributes for _, attributes in data]).float())
