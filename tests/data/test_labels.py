from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vae_lightning.data.labels import read_labels
from vae_lightning.errors import UserError


@pytest.mark.parametrize(
    "values",
    [
        np.arange(10, dtype=np.uint8),
        np.arange(10).astype(np.float32),
        np.arange(10).reshape(10, 1),
        np.eye(10),
        np.eye(10, dtype=bool),
        np.array([str(i) for i in range(10)]),
        np.array([str(i).encode() for i in range(10)], dtype=object),
    ],
)
def test_whole_numbers_from_0_stay_as_they_are(values: np.ndarray) -> None:
    classes, names, notes = read_labels(values, 10)
    assert classes.dtype == np.int64
    assert classes.tolist() == list(range(10))
    assert names is None
    assert notes == []


def test_letters_numbered_from_1_are_numbered_from_0() -> None:
    classes, names, notes = read_labels(np.arange(1, 27), 26)
    assert classes.tolist() == list(range(26))
    assert names == tuple(map(str, range(1, 27)))
    assert notes == ["Labels became classes numbered from 0: 1 → 0, 2 → 1, 3 → 2, 4 → 3, …, 26 → 25."]


@pytest.mark.parametrize("values", [[7, 9007, 7, 100], [0, 9007, 0, 100]])
def test_identifiers_are_numbered_in_order_instead_of_making_9008_classes(values: list[int]) -> None:
    classes, names, notes = read_labels(np.array(values), 4)
    assert classes.tolist() == [0, 2, 0, 1]
    assert names == (str(values[0]), "100", "9007")
    assert notes == [f"Labels became classes numbered from 0: {values[0]} → 0, 100 → 1, 9007 → 2."]


def test_text_is_numbered_in_sorted_order() -> None:
    classes, names, notes = read_labels(np.array(["cat", "ant", "dog", "cat"]), 4)
    assert classes.tolist() == [1, 0, 2, 1]
    assert names == ("ant", "cat", "dog")
    assert notes == ["Labels became classes numbered from 0: ant → 0, cat → 1, dog → 2."]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (np.array([0, 1, -1, 1]), [0, 1, -1, 1]),
        (np.array([0, 1, np.nan, 1]), [0, 1, -1, 1]),
        (np.array([5, 6, -1, 6]), [0, 1, -1, 1]),
        (np.array(["a", "b", "", "b"]), [0, 1, -1, 1]),
        (np.array(["a", "b", None, "b"], dtype=object), [0, 1, -1, 1]),
        (np.array([0, 1, np.nan, 1], dtype=object), [0, 1, -1, 1]),
    ],
)
def test_an_image_may_have_no_label(values: np.ndarray, classes: list[int]) -> None:
    labels = read_labels(values, 4)
    assert labels.classes.tolist() == classes
    assert labels.notes[0] == "1 of 4 images have no label: −1, which is left out wherever labels are read."


def test_no_image_need_have_a_label() -> None:
    labels = read_labels(np.full(3, -1), 3)
    assert labels.classes.tolist() == [-1, -1, -1]
    assert labels.notes == ["No image has a label: all are −1."]


def test_booleans_are_two_classes() -> None:
    classes, names, _ = read_labels(np.array([True, True]), 2)
    assert classes.tolist() == [1, 1]
    assert names == ("false", "true")


def test_classes_without_an_image_are_said() -> None:
    assert read_labels(np.array([0, 1, 3]), 3).notes == ["No image has the label of class 2, so that it is empty."]
    notes = read_labels(np.array([0, 1, 4]), 3).notes
    assert notes == ["No image has the label of the classes 2, 3, so that they are empty."]


@pytest.mark.parametrize(
    ("values", "images", "sentence"),
    [
        (np.arange(200), 1200, "There are 1,200 images but 200 labels: data.labels must have one for each image."),
        (np.array(3), 4, "There are 4 images but 1 label: data.labels must have one for each image."),
        (np.arange(10) / 10, 10, "The label 0.1 is not whole: data.labels are classes; numbers belong in data.targets."),
        (np.array([1.0, np.inf]), 2, "The label inf is not whole: data.labels are classes; numbers belong in data.targets."),
        (np.array([0, -2]), 2, "data.labels go down to -2: classes count from 0, and −1 is an image without a label."),
        (
            np.array([-1, 1]),
            2,
            "data.labels are −1 and 1, and −1 stands for an image without a label: write two classes as 0 and 1.",
        ),
        (
            np.eye(3)[[0, 1]] / 2,
            2,
            "data.labels of shape (2, 3) are not one-hot: data.labels are classes; numbers belong in data.targets.",
        ),
        (
            np.array([[1, 1], [0, 1]]),
            2,
            "data.labels have the shape (2, 2): they must be one class for each image, (N,), or one-hot rows, (N, classes).",
        ),
        (np.array(["a", 1.5], dtype=object), 2, "data.labels hold text and other values, such as 1.5: they must be of one kind."),
        (np.array([1j, 2]), 2, "data.labels are complex128: they must be whole numbers or text."),
        (np.array([0, 2**63], dtype=np.uint64), 2, "data.labels go up to 9223372036854775808: they must be below 2⁶³."),
    ],
)
def test_what_is_no_class_is_refused_in_one_sentence(values: Any, images: int, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        read_labels(values, images)
    assert str(caught.value) == sentence
