from __future__ import annotations

import inspect
from typing import Unpack

import numpy as np
import pytest
import torch

from vae_lightning.data.base import DataSettings, DataSpec, ImageData, stratified_split
from vae_lightning.data.images import Batch, Images, images_from_arrays, kind_of, mean_pixel
from vae_lightning.errors import InvalidValue, UserError


class Tiny(ImageData):
    loads = 0

    def load(self) -> dict[str, Images]:
        self.loads += 1
        grey = images_from_arrays(np.full((4, 2, 3), 51, np.uint8), np.arange(4))
        white = images_from_arrays(np.full((4, 2, 3), 255, np.uint8), np.arange(4))
        return {"train": grey, "val": white, "test": white}


class Sized(Tiny):
    def __init__(self, size: int, batch_size: int = 64, **settings: Unpack[DataSettings]) -> None:  # type: ignore[misc]
        super().__init__(size, batch_size=batch_size, **settings)


def test_a_constructor_with_settings_shows_the_arguments_of_the_base() -> None:
    shown, base = inspect.signature(Sized).parameters, inspect.signature(ImageData).parameters
    assert list(shown) == ["size", "batch_size", *(name for name in DataSettings.__annotations__ if name != "batch_size")]
    assert shown["batch_size"].default == 64
    assert {name: shown[name].default for name in ("split_seed", "drop_last")} == {"split_seed": 0, "drop_last": False}
    assert set(DataSettings.__annotations__) == set(base) - {"val_size"}
    assert Sized(3, drop_last=True, split_seed=4).split_seed == 4
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        Sized(3, epochs=1)


def test_a_batch_is_the_images_at_the_places_asked_for(mnist5k: dict[str, Images]) -> None:
    places = torch.tensor([7, 3, 7])
    batch = mnist5k["val"][places]
    assert isinstance(batch, Batch)
    assert torch.equal(batch.examples, places)
    assert torch.equal(batch.images, mnist5k["val"].images[places])
    assert torch.equal(batch.labels, mnist5k["val"].labels[places])
    assert torch.equal(batch.to(torch.device("cpu")).images, batch.images)


def test_facts_are_those_of_the_training_images() -> None:
    data = Tiny(val_size=1)
    assert data.spec().shape == (1, 2, 3)
    assert data.spec().mean == pytest.approx(0.2)
    assert data.spec().train_size == 4
    assert data.spec().classes == 4
    assert data.loads == 1


def test_facts_survive_being_written_down() -> None:
    data_spec = DataSpec((3, 32, 16), 0.25, 1234, 2, "colour", ("cat", "dog"))
    assert data_spec.as_dict() == {
        "shape": [3, 32, 16], "mean": 0.25, "train_size": 1234, "classes": 2, "kind": "colour", "class_names": ["cat", "dog"],
    }  # fmt: skip
    assert DataSpec.from_dict(data_spec.as_dict()) == data_spec
    older = {key: value for key, value in data_spec.as_dict().items() if key not in ("classes", "kind", "class_names")}
    assert DataSpec.from_dict(older) == DataSpec((3, 32, 16), 0.25, 1234)


@pytest.mark.parametrize(
    ("images", "kind", "mean"),
    [
        (torch.tensor([0, 255, 0, 255], dtype=torch.uint8).view(1, 1, 2, 2), "binary", 0.5),
        (torch.tensor([0, 254, 0, 255], dtype=torch.uint8).view(1, 1, 2, 2), "grey", 509 / 1020),
        (torch.zeros(5, 3, 2, 2, dtype=torch.uint8), "colour", 0.0),
        (torch.tensor([[-1.5, 2.0]]).view(1, 1, 1, 2), "real", 0.25),
    ],
)
def test_the_kind_of_data_shows_in_the_values(images: torch.Tensor, kind: str, mean: float) -> None:
    assert kind_of(images) == kind
    assert mean_pixel(images) == pytest.approx(mean)


def test_kind_and_mean_of_many_images_are_found_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.full((10, 1, 2, 2), 255, dtype=torch.uint8)
    images[9, 0, 1, 1] = 3
    monkeypatch.setattr("vae_lightning.data.images.CHUNK", 3)
    assert kind_of(images) == "grey"
    assert mean_pixel(images) == pytest.approx((39 * 255 + 3) / 40 / 255)


def test_classes_are_those_of_all_splits_and_none_where_an_image_has_no_label() -> None:
    data = Tiny(val_size=1)
    data.splits()["val"].labels[0] = 6
    assert data.spec().classes == 7
    data.splits()["test"].labels[0] = -1
    assert data.spec().classes is None


LABELS = np.repeat([0, 1, 2], [60, 30, 10])[np.random.default_rng(0).permutation(100)]


def test_a_split_is_stratified_disjoint_and_covers_all() -> None:
    places = stratified_split(LABELS, {"test": 20, "val": 10}, seed=0)
    assert np.bincount(LABELS[places["test"]]).tolist() == [12, 6, 2]
    assert np.bincount(LABELS[places["val"]]).tolist() == [6, 3, 1]
    assert sorted(np.concatenate(list(places.values()))) == list(range(100))


def test_the_odd_places_go_to_the_largest_remainders() -> None:
    places = stratified_split(LABELS, {"val": 7}, seed=0)  # exactly 4.2, 2.1, 0.7
    assert np.bincount(LABELS[places["val"]]).tolist() == [4, 2, 1]


def test_a_split_is_a_function_of_its_seed_and_shuffled() -> None:
    first, again, other = (stratified_split(LABELS, {"val": 50}, seed)["val"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert set(first) != set(other)
    assert not np.array_equal(first, np.sort(first))


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^val_size=100: must be less than the 100 images"):
        stratified_split(LABELS, {"val": 100}, 0)


def test_channels_come_first() -> None:
    colour = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    images = images_from_arrays(colour, np.array([1, 2])).images
    assert images.shape == (2, 3, 4, 5)
    assert images[1, 2, 3, 4] == colour[1, 3, 4, 2]
    assert images_from_arrays(colour[..., 0], np.array([1, 2])).images.shape == (2, 1, 4, 5)


def test_arrays_may_be_read_only() -> None:
    images = np.zeros((2, 4, 4), np.uint8)
    images.flags.writeable = False
    assert len(images_from_arrays(images, np.zeros(2))) == 2


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.float32), np.zeros(2), "must be uint8"),
        (np.zeros((2, 16), np.uint8), np.zeros(2), "must be uint8 of shape"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(3), "2 images but 3 labels"),
    ],
)
def test_arrays_that_are_no_images_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        images_from_arrays(images, labels)


@pytest.mark.parametrize(
    "bad",
    [
        {"val_size": 0},
        {"split_seed": -1},
        {"binarize": "yes"},
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"num_workers": -1},
        {"drop_last": 1},
    ],
)
def test_values_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        Tiny(**{"val_size": 1, **bad})  # type: ignore[arg-type]


def test_a_split_may_be_a_part_of_a_larger_map() -> None:
    stored = torch.randint(0, 256, (30, 3, 4, 5), dtype=torch.uint8)
    index = torch.randperm(30)[:20]
    part, copied = Images(stored, torch.arange(20), index=index), Images(stored[index], torch.arange(20))
    places = torch.tensor([4, 19, 4])
    assert all(torch.equal(a, b) for a, b in zip(part[places], copied[places], strict=True))
    assert len(part) == 20
    assert part.shape == copied.shape == (3, 4, 5)
    assert torch.equal(part.images, copied.images)
    assert torch.equal(torch.cat(list(part.chunks(7))), copied.images)
    assert mean_pixel(part) == mean_pixel(copied)
    assert torch.equal(part.first(3).images, copied.images[:3])
    assert len(part.first(100).images) == 20


def test_chunks_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(torch.zeros(10, 1, 4, 5, dtype=torch.uint8), torch.zeros(10))
    monkeypatch.setattr("vae_lightning.data.images.CHUNK_BYTES", 65)
    assert [len(part) for part in images.chunks()] == [3, 3, 3, 1]
