from __future__ import annotations

import pytest
import torch

from vae_lightning.data import images
from vae_lightning.data.checks import check_images, duplicate_notes
from vae_lightning.data.images import Images
from vae_lightning.errors import UserError


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CHUNK", 4)


def _images(count: int) -> torch.Tensor:
    return torch.arange(count * 16).remainder(251).to(torch.uint8).view(count, 1, 4, 4)


def _split(images: torch.Tensor) -> Images:
    return Images(images, torch.zeros(len(images), dtype=torch.long))


def test_constant_images_are_counted() -> None:
    images = _images(10)
    assert check_images(images) == []
    images[6] = 9
    assert check_images(images) == ["1 of 10 images is constant (the first is number 6, counted from 0)."]
    images[5], images[9] = 0, 0
    assert check_images(images) == ["3 of 10 images are constant, 2 of them all zero (the first is number 5, counted from 0)."]
    assert check_images(torch.zeros(5, 1, 4, 4))[0].startswith("5 of 5 images are constant, all zero (the first is number 0")


def test_a_column_of_single_numbers_is_not_called_constant() -> None:
    assert check_images(torch.arange(10.0).view(10, 1, 1, 1)) == []


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinity"), (-float("inf"), "infinity")])
def test_values_that_are_no_numbers_are_refused_with_the_first_image(value: float, word: str) -> None:
    images = _images(10).float()
    images[6, 0, 2, 2] = value
    images[7] = float("nan")
    with pytest.raises(UserError, match=rf"^x\.npy: image 6 \(counted from 0\) holds {word}; all values must be finite\.$"):
        check_images(images, "x.npy")


def test_no_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.images: there are no images \(an array of shape \(0, 1, 4, 4\)\)\.$"):
        check_images(torch.zeros(0, 1, 4, 4))


def test_images_in_two_splits_are_counted() -> None:
    images = _images(20)
    splits = {"train": _split(images[:10]), "val": _split(images[10:15]), "test": _split(images[15:])}
    assert duplicate_notes(splits) == []
    splits["val"].images[4] = images[2]
    splits["test"].images[1:4] = images[torch.tensor([2, 3, 11])]
    assert duplicate_notes(splits) == [
        "1 of the 5 val images is in train too, byte for byte.",
        "2 of the 5 test images are in train too, byte for byte.",
        "2 of the 5 test images are in val too, byte for byte.",
    ]


def test_rows_of_few_numbers_may_be_equal() -> None:
    row = _split(torch.zeros(3, 1, 1, 8))
    assert duplicate_notes({"train": row, "val": row, "test": row}) == []
