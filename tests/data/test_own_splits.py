from __future__ import annotations

import numpy as np
import pytest

from vae_lightning.data.images import Images
from vae_lightning.data.own_splits import OwnData, check_size, own_split, split_counts
from vae_lightning.errors import InvalidValue, UserError


def test_shares_and_counts_are_held_out() -> None:
    assert split_counts(200, {"test": 0.1, "val": 30}) == {"test": 20, "val": 30}


def test_the_smallest_share_is_one_image() -> None:
    assert split_counts(3, {"test": 0.01, "val": 0.01}) == {"test": 1, "val": 1}


@pytest.mark.parametrize("value", [0, 0.0, 1.0, 1.5, -0.1, True, "0.1", None, float("nan")])
def test_other_sizes_are_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"must be a share above 0 and below 1, such as 0\.1, or a count of at least 1"):
        check_size("val_size", value)


@pytest.mark.parametrize(
    ("images", "sizes", "sentence"),
    [
        (10, {"test": 0.5, "val": 5},
         "data.test_size=0.5 and data.val_size=5 leave nothing of the 10 images for training: lower them."),
        (2, {"test": 0.1, "val": 0.1},
         "data.test_size=0.1 and data.val_size=0.1 leave nothing of the 2 images for training: there must be at least 3."),
        (1, {"val": 1}, "data.val_size=1 leaves nothing of the only image for training: there must be at least 2."),
        (4, {"val": 4}, "data.val_size=4 leaves nothing of the 4 images for training: lower it."),
    ],
)  # fmt: skip
def test_something_is_left_for_training(images: int, sizes: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        split_counts(images, sizes)
    assert str(caught.value) == sentence


def test_splits_are_stratified_disjoint_and_seeded() -> None:
    labels = np.repeat([-1, 0, 1], [40, 40, 20])
    indices = own_split(100, labels, {"test": 0.2, "val": 10}, 0)
    assert sorted(np.concatenate(list(indices.values())).tolist()) == list(range(100))
    counts = {name: np.unique(labels[places], return_counts=True)[1].tolist() for name, places in indices.items()}
    assert counts == {"train": [28, 28, 14], "test": [8, 8, 4], "val": [4, 4, 2]}
    again = own_split(100, labels, {"test": 0.2, "val": 10}, 0)
    other = own_split(100, labels, {"test": 0.2, "val": 10}, 1)
    assert all(np.array_equal(indices[name], again[name]) for name in indices)
    assert not np.array_equal(indices["test"], other["test"])


def test_images_without_labels_are_split_too() -> None:
    assert {name: len(places) for name, places in own_split(50, None, {"test": 0.1, "val": 0.1}, 0).items()} == {
        "train": 40, "test": 5, "val": 5,
    }  # fmt: skip


class Ready(OwnData):
    def __init__(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        super().__init__(0.2, 0.2)
        self.given = images, labels

    def load(self) -> dict[str, Images]:
        return self.split_arrays(*self.given)


def test_arrays_of_a_data_set_of_ones_own_are_read_checked_and_split() -> None:
    images = np.random.default_rng(0).random((30, 4, 5, 3)).astype(np.float32)
    data = Ready(images, np.array(["b", "a", ""] * 10))
    splits = data.splits()
    assert {name: (len(split), split.shape) for name, split in splits.items()} == {
        "train": (18, (3, 4, 5)), "test": (6, (3, 4, 5)), "val": (6, (3, 4, 5)),
    }  # fmt: skip
    for split in splits.values():
        assert np.unique(split.labels.numpy(), return_counts=True)[1].tolist() == [len(split) // 3] * 3
    assert data.class_names == ("a", "b")
    assert "RGB images of 4×5 from float32 NHWC" in data.notes[0]
    with pytest.raises(UserError, match="There are 30 images but 4 labels"):
        Ready(images, np.arange(4)).splits()
    assert Ready(images, None).splits()["val"].labels.tolist() == [-1] * 6
