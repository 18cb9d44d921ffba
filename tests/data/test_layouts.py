"""That the published layouts are read as torchvision reads them, and what is particular to each data set."""

from __future__ import annotations

import gzip
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from tests.data import tiny
from tests.data.test_published import opened, rows
from vae_lightning.data.cifar import FINE, read_pickle
from vae_lightning.data.emnist import CLASSES, EMNIST
from vae_lightning.data.medmnist import MedMNIST
from vae_lightning.data.qmnist import QMNIST
from vae_lightning.data.smallnorb import STEMS, SmallNORB
from vae_lightning.data.stl10 import STL10
from vae_lightning.errors import InvalidValue, UserError


@pytest.fixture
def _any_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision reads files without comparing their checksums."""
    for kind in (datasets.CIFAR10, datasets.SVHN, datasets.STL10, datasets.CelebA):
        monkeypatch.setattr(kind, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.CIFAR10, "_load_meta", lambda self: None)


def as_published(option: str, root: Path, train: bool) -> Any:
    """What torchvision reads from the files that `tiny` wrote."""
    split = "train" if train else "test"
    readers: dict[str, Any] = {
        "cifar10": lambda: datasets.CIFAR10(str(root), train=train),
        "cifar100": lambda: datasets.CIFAR100(str(root), train=train),
        "kmnist": lambda: datasets.KMNIST(str(root), train=train),
        "qmnist": lambda: datasets.QMNIST(str(root), what=split),
        "stl10": lambda: datasets.STL10(str(root), split=split),
        "svhn": lambda: datasets.SVHN(str(root), split=split),
        "usps": lambda: datasets.USPS(str(root), train=train),
    }
    return readers[option]()


@pytest.mark.usefixtures("_any_content")
@pytest.mark.parametrize("option", ["cifar10", "cifar100", "kmnist", "qmnist", "stl10", "svhn", "usps"])
def test_images_and_labels_are_those_that_torchvision_reads(option: str, tmp_path: Path) -> None:
    tiny.SETS[option][0](tmp_path)
    splits = opened(option, tmp_path).splits()
    tolerance = 1 if option == "usps" else 0  # torchvision cuts the grey values off, and we round them
    for train, names in ((True, ("train", "val")), (False, ("test",))):
        ours = [pair for name in names for pair in zip(splits[name].images.numpy(), splits[name].labels.tolist(), strict=True)]
        theirs = [(np.asarray(image), int(label)) for image, label in as_published(option, tmp_path, train)]
        assert len(ours) == len(theirs)
        for image, label in theirs:
            channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            distances = [np.abs(mine.astype(int) - channels_first).max() for mine, _ in ours]
            nearest = int(np.argmin(distances))
            assert distances[nearest] <= tolerance
            assert ours[nearest][1] == label


def test_emnist_is_upright_and_letters_count_from_0(tmp_path: Path) -> None:
    tiny.write_emnist(tmp_path, "letters", 26, first=1)
    data = EMNIST(str(tmp_path), "letters", download=False, val_size=26)
    test, published = data.splits()["test"], datasets.EMNIST(str(tmp_path), split="letters", train=False)
    assert torch.equal(test.images[:, 0], published.data.transpose(1, 2))
    assert test.labels.tolist() == (published.targets - 1).tolist() == list(range(26))
    assert data.spec().class_names == tuple("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("split", sorted(CLASSES))
def test_emnist_classes_are_those_of_torchvision(split: str) -> None:
    published = [name for name in datasets.EMNIST.classes_split_dict[split] if name != "N/A"]
    assert list(EMNIST(split=split).class_names or ()) == published


def test_emnist_labels_of_another_split_are_refused(tmp_path: Path) -> None:
    tiny.write_emnist(tmp_path, "digits", 47)
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte holds labels that data\.split=digits does not have"):
        EMNIST(str(tmp_path), "digits", download=False).splits()


def test_qmnist_can_be_tested_on_the_digits_of_mnist_or_on_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_lightning.data.qmnist.TESTS", {"test": slice(None), "test10k": slice(5), "test50k": slice(5, None)})
    tiny.write_qmnist(tmp_path)
    whole, known, new = (
        QMNIST(str(tmp_path), test, False, val_size=10).splits()["test"] for test in ("test", "test10k", "test50k")
    )
    assert rows(whole) == rows(known) + rows(new)
    assert len(known) == 5


def test_qmnist_labels_may_be_gzipped(tmp_path: Path) -> None:
    tiny.write_qmnist(tmp_path)
    path = tmp_path / "QMNIST" / "raw" / "qmnist-test-labels-idx2-int"
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert QMNIST(str(tmp_path), download=False, val_size=10).splits()["test"].labels[:3].tolist() == [0, 1, 2]


def test_usps_features_that_are_left_out_are_0(tmp_path: Path) -> None:
    from vae_lightning.data.usps import parse_libsvm

    images, labels = parse_libsvm(b"10 1:-1 2:1 256:0.5\n1 3:-0.5\n")
    assert labels.tolist() == [9, 0]
    assert images[0].flatten()[[0, 1, 2, 255]].tolist() == [0, 255, 128, 191]
    for bad in (b"1 257:0", b"1 0:0", b"1 1:2", b"1 1:nan", b"11 1:0", b"one 1:0", b"1 1"):
        with pytest.raises((ValueError, IndexError)):
            parse_libsvm(bad)


def test_the_pickles_of_cifar_are_python_2s_and_run_no_code() -> None:
    array = tiny.pictures(2, 3072)
    content = tiny.python2_pickle({"data": array, "labels": [3, 4]})
    assert np.array_equal(pickle.loads(content, encoding="latin1")["data"], array)
    found = read_pickle(content)
    assert np.array_equal(found["data"].array(), array)
    assert found["labels"] == [3, 4]
    today = read_pickle(pickle.dumps({"labels": [1]}, protocol=2))
    assert today == {"labels": [1]}
    for code in (b"cos\nsystem\n(S'exit'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR."):
        with pytest.raises(pickle.UnpicklingError, match="it names"):
            read_pickle(code)


def test_cifar100_names_its_classes_in_order() -> None:
    assert len(FINE) == 100
    assert list(FINE) == sorted(FINE)


def test_unlabelled_photographs_of_stl10(tmp_path: Path) -> None:
    tiny.write_stl10(tmp_path)
    splits = STL10(str(tmp_path), "unlabeled", False, val_size=6).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 24, "val": 6, "test": 12}
    assert set(splits["train"].labels.tolist()) == set(splits["val"].labels.tolist()) == {-1}
    assert splits["test"].labels.tolist() == [row % 10 for row in range(12)]
    published = tiny.pictures(30, 3, 96, 96, seed=2).transpose(0, 1, 3, 2)
    assert set(rows(splits["train"]) + rows(splits["val"])) == {image.tobytes() for image in published}


@pytest.mark.usefixtures("_any_content")
def test_celeba_is_cropped_and_scaled_as_with_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_celeba(tmp_path)
    lists = {"list_attr_celeba.txt", "list_eval_partition.txt"}
    plain = datasets.CelebA._load_csv
    empty = datasets.celeba.CSV([], [], torch.zeros(20, 1, dtype=torch.long))

    def load(self: Any, name: str, header: int | None = None) -> Any:
        return plain(self, name, header) if name in lists else empty

    monkeypatch.setattr(datasets.CelebA, "_load_csv", load)
    splits = opened("celeba", tmp_path).splits()
    change = transforms.Compose([transforms.CenterCrop(148), transforms.Resize(64), transforms.PILToTensor()])
    for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test")):
        published = datasets.CelebA(str(tmp_path), split=theirs, transform=change)
        assert torch.equal(splits[ours].images, torch.stack([image for image, _ in published]))
        assert splits[ours].targets is not None
        assert torch.equal(splits[ours].targets, published.attr.float())
        assert set(splits[ours].labels.tolist()) == {-1}


def test_celeba_without_attributes_and_with_a_name_in_another_folder(tmp_path: Path) -> None:
    tiny.write_celeba(tmp_path)
    (tmp_path / "celeba" / "list_attr_celeba.txt").unlink()
    assert opened("celeba", tmp_path, size=32).splits()["train"].targets is None
    partition = tmp_path / "celeba" / "list_eval_partition.txt"
    partition.write_text(partition.read_text().replace("000001.jpg", "../000001.jpg"))
    with pytest.raises(UserError, match=r"list_eval_partition.txt is damaged"):
        opened("celeba", tmp_path).splits()


def test_omniglot_is_upright(tmp_path: Path) -> None:
    """MATLAB stores a picture column by column; intensities become parts of 255."""
    from scipy.io import savemat

    picture = np.zeros((28, 28))
    picture[3, 20] = 0.5  # row 3, column 20
    column = picture.flatten(order="F")[:, None]
    alphabets = np.eye(50)
    content = {"data": column.repeat(100, 1), "target": np.hstack([alphabets, alphabets])}
    content |= {"testdata": column.repeat(50, 1), "testtarget": alphabets}
    (tmp_path / "OMNIGLOT").mkdir()
    savemat(tmp_path / "OMNIGLOT" / "chardata.mat", content)
    test = opened("omniglot", tmp_path).splits()["test"]
    assert test.labels.tolist() == list(range(50))
    assert (test.images[:, 0, 3, 20] == 128).all()
    assert test.images.sum() == 50 * 128


def test_frey_faces_are_upright_and_without_labels(tmp_path: Path) -> None:
    tiny.write_frey(tmp_path)
    splits = opened("frey", tmp_path).splits()
    published = tiny.pictures(560, 60).T.reshape(60, 28, 20)
    assert {row for split in splits.values() for row in rows(split)} == {face.tobytes() for face in published}
    assert {int(label) for split in splits.values() for label in split.labels} == {-1}


def test_dsprites_carry_the_factors_of_their_images(tmp_path: Path) -> None:
    tiny.write_dsprites(tmp_path)
    data = opened("dsprites", tmp_path)
    classes = tiny.grid(tiny.DSPRITES_SIZES)
    images = np.random.default_rng(0).integers(0, 2, (len(classes), 64, 64), dtype=np.uint8) * 255
    known = {image.tobytes(): factors[1:].tolist() for image, factors in zip(images, classes, strict=True)}
    for split in data.splits().values():
        assert [known[row] for row in rows(split)] == split.factors.tolist()
        assert torch.equal(split.labels, split.factors[:, 0])
    assert data.categorical_factors == (True, False, False, False, False)
    some = opened("dsprites", tmp_path, images=200).splits()
    assert sum(len(split) for split in some.values()) == 200
    with pytest.raises(InvalidValue, match=r"^images=481: must be at most the 480"):
        opened("dsprites", tmp_path, images=481).splits()


def test_shapes3d_carry_the_factors_of_their_images(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    tiny.write_shapes3d(tmp_path)
    data = opened("shapes3d", tmp_path)
    factors = tiny.grid(tiny.SHAPES3D_SIZES)
    images = tiny.pictures(len(factors), 64, 64, 3).transpose(0, 3, 1, 2)
    known = {image.tobytes(): row.tolist() for image, row in zip(images, factors, strict=True)}
    for split in data.splits().values():
        assert [known[row] for row in rows(split)] == split.factors.tolist()
        assert torch.equal(split.labels, split.factors[:, 4])


def test_shapes3d_that_leads_to_another_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    tiny.write_shapes3d(tmp_path)
    (tmp_path / "3dshapes.h5").rename(tmp_path / "other.h5")
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        for name in ("images", "labels"):
            file[name] = h5py.ExternalLink("other.h5", name)
    with pytest.raises(UserError, match=r"3dshapes\.h5 is damaged and cannot be read"):
        opened("shapes3d", tmp_path).splits()


def test_smallnorb_shows_the_left_camera_and_has_four_factors(tmp_path: Path) -> None:
    tiny.write_smallnorb(tmp_path)
    data = SmallNORB(str(tmp_path), size=96, val_size=10)
    test = data.splits()["test"]
    assert np.array_equal(test.images[:, 0].numpy(), tiny.pictures(tiny.TEST, 2, 96, 96, seed=1)[:, 0])
    count = np.arange(tiny.TEST)
    assert test.factors is not None
    assert np.array_equal(test.factors.numpy(), np.stack([count % 5, count % 9, count % 18, count % 6], 1))
    assert torch.equal(test.labels, test.factors[:, 0])
    assert data.categorical_factors == (True, False, False, True)
    scaled = SmallNORB(str(tmp_path), val_size=10).splits()["test"].images
    image = Image.fromarray(test.images[0, 0].numpy()).resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(scaled[0, 0].numpy(), np.asarray(image))


def test_smallnorb_may_be_gzipped_in_a_folder_of_its_own(tmp_path: Path) -> None:
    tiny.write_smallnorb(tmp_path)
    plain = SmallNORB(str(tmp_path), val_size=10).splits()["val"]
    (tmp_path / "smallnorb").mkdir()
    for path in tmp_path.glob("*.mat"):
        (tmp_path / "smallnorb" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert rows(SmallNORB(str(tmp_path), val_size=10).splits()["val"]) == rows(plain)
    cat = tmp_path / "smallnorb" / f"{STEMS['test']}-cat.mat.gz"
    cat.write_bytes(gzip.compress(tiny.norb_matrix(np.arange(3, dtype="<i4"))))
    with pytest.raises(UserError):
        SmallNORB(str(tmp_path), val_size=10).splits()


def test_medmnist_keeps_its_own_splits(tmp_path: Path) -> None:
    tiny.write_medmnist(tmp_path)
    data = MedMNIST(str(tmp_path), download=False)
    for seed, (name, count) in enumerate((("train", tiny.TRAIN), ("val", 9), ("test", tiny.TEST))):
        split = data.splits()[name]
        assert np.array_equal(split.images.numpy(), tiny.pictures(count, 28, 28, 3, seed=seed).transpose(0, 3, 1, 2))
        assert split.labels.tolist() == [row % 9 for row in range(count)]
    assert data.spec().class_names is not None


def test_medmnist_of_other_sizes_grey_and_with_findings(tmp_path: Path) -> None:
    (tmp_path / "medmnist").mkdir()
    tiny.write_medmnist(tmp_path / "medmnist", "chestmnist", 64, (), 14)
    data = MedMNIST(str(tmp_path), "chestmnist", 64, False)
    train, spec = data.splits()["train"], data.spec()
    assert (spec.kind, spec.shape, spec.classes, spec.class_names) == ("grey", (1, 64, 64), None, None)
    assert set(train.labels.tolist()) == {-1}
    assert train.targets is not None
    assert train.targets.shape == (tiny.TRAIN, 14)
    assert np.array_equal(train.targets.numpy(), tiny.pictures(tiny.TRAIN, 14, seed=0) % 2)


def test_the_package_medmnist_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    package = SimpleNamespace(
        INFO={"bloodmnist": {"python_class": "BloodMNIST"}}, BloodMNIST=lambda **arguments: calls.append(arguments)
    )
    monkeypatch.setitem(sys.modules, "medmnist", package)
    MedMNIST(str(tmp_path), "bloodmnist", 64).fetch()
    assert calls == [{"split": "train", "root": str(tmp_path), "size": 64, "download": True}]
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(UserError, match=r"needs the package medmnist \(pip install 'vae-lightning\[medmnist\]'\): set"):
        MedMNIST(str(tmp_path), "bloodmnist").splits()


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("celeba", {"size": 149}), ("emnist", {"split": "all"}), ("medmnist", {"name": "mnist"}), ("medmnist", {"size": 32}),
        ("qmnist", {"test": "nist"}), ("smallnorb", {"size": 48}), ("stl10", {"split": "test"}), ("frey", {"test_size": 0}),
        ("dsprites", {"images": 0}), ("shapes3d", {"test_size": 0}), ("usps", {"download": "no"}),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(option: str, bad: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        opened(option, tmp_path, **bad)
