from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vae_lightning.data.binarization import (
    BernoulliPixels,
    _binarize,
    bernoulli_pixels,
    prepare_splits,
    resolve_binarization,
)
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue

GREYS = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("binarize", "binary", "mode"),
    [
        ("auto", True, "dynamic"),
        ("auto", False, "none"),
        ("dynamic", True, "dynamic"),
        ("static", True, "static"),
        ("threshold", True, "threshold"),
        ("none", True, "none"),
        ("none", False, "none"),
    ],
)
def test_what_each_choice_means(binarize: str, binary: bool, mode: str) -> None:
    assert resolve_binarization(binarize, binary) == mode


@pytest.mark.parametrize("binarize", ["dynamic", "static", "threshold"])
def test_binary_pixels_under_a_density_of_grey_ones_are_refused(binarize: str) -> None:
    with pytest.raises(InvalidValue, match=f"binarize={binarize}: must be auto or none"):
        resolve_binarization(binarize, binary_likelihood=False)


def replace_bits(monkeypatch: pytest.MonkeyPatch, bits: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """`bits` replaces the generator for the random bits of the pixels; the shared number of each image is still drawn."""
    random = torch.Tensor.random_

    def stand_in(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return bits(self) if self.dtype == torch.int64 else random(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "random_", stand_in)


def test_each_grey_is_one_with_its_probability_counted_over_every_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the 256 values of the random bits, with each of the 255 replacements of the last one, meets each grey once."""
    every = torch.arange(256, dtype=torch.uint8).repeat_interleave(256).repeat(255)

    def each_once(self: torch.Tensor, low: int, high: int | None, **_: Any) -> torch.Tensor:
        return self.copy_(every.view(self.dtype) if high is None else torch.arange(low, high).view(self.shape))

    monkeypatch.setattr(torch.Tensor, "random_", each_once)
    drawn = bernoulli_pixels(GREYS.expand(255, 256, 256), torch.Generator())
    assert torch.equal(drawn.double().sum((0, 1)), 256 * GREYS.double())  # of 255 · 256 draws


def test_images_share_none_of_their_draws(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    """If every pixel needs the number that an image's pixels share, the pixels of an image are alike and images differ."""
    replace_bits(monkeypatch, lambda draws: draws.fill_(-1))
    drawn = bernoulli_pixels(torch.full((4000, 1, 2, 2), 128, dtype=torch.uint8), generator).flatten(1)
    assert torch.equal(drawn, drawn[:, :1].expand(4000, 4))
    assert abs(drawn[:, 0].mean() - 128 / 255) < 4 * 0.5 / 4000**0.5


def test_what_is_drawn_does_not_depend_on_the_batches_before() -> None:
    draw = BernoulliPixels()
    for shape in ((7, 1, 3, 3), (7, 1, 3, 3), (2, 1, 3, 3), (2, 3, 3, 1), (7, 1, 3, 3)):
        grey = torch.full(shape, 100, dtype=torch.uint8)
        drawn = draw(grey, torch.Generator().manual_seed(1))
        assert drawn.shape == shape
        assert torch.equal(drawn, bernoulli_pixels(grey, torch.Generator().manual_seed(1)))
        kept = drawn.clone()
        draw(grey, torch.Generator().manual_seed(2))
        assert torch.equal(drawn, kept)  # the next call does not overwrite the result


def test_dynamic_pixels_are_independent_draws_of_the_generator(generator: torch.Generator) -> None:
    grey = torch.full((4000, 1, 3, 3), 64, dtype=torch.uint8)  # 9 pixels: not a multiple of eight
    drawn = bernoulli_pixels(grey, generator)
    assert drawn.dtype == torch.float32
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    p, n = 64 / 255, drawn.numel()
    assert abs(drawn.mean() - p) < 4 * (p * (1 - p) / n) ** 0.5
    correlation = torch.corrcoef(drawn.flatten(1).T) - torch.eye(9)
    assert correlation.abs().max() < 5 / 4000**0.5
    assert not torch.equal(bernoulli_pixels(grey, generator), drawn)
    assert torch.equal(bernoulli_pixels(grey, torch.Generator().manual_seed(0)), drawn)


def test_dynamic_leaves_its_images_as_they_were(generator: torch.Generator) -> None:
    images = GREYS.clone()
    bernoulli_pixels(images, generator)
    assert torch.equal(images, GREYS)


def test_pixels_binarised_once_are_one_with_their_probability() -> None:
    drawn = _binarize(GREYS.expand(4000, 256), torch.arange(4000), seed=0).double() / 255
    p = GREYS.double() / 255
    assert ((drawn.mean(0) - p).abs() <= 5 * (p * (1 - p) / 4000).sqrt()).all()
    assert drawn[:, 0].max() == 0
    assert drawn[:, 255].min() == 1
    assert len(drawn.unique(dim=0)) == 4000  # no two positions share their noise


def splits_of(images: torch.Tensor) -> dict[str, Images]:
    return {name: Images(images, torch.arange(len(images))) for name in ("train", "val", "test")}


@pytest.fixture
def splits() -> dict[str, Images]:
    return splits_of(torch.randint(0, 256, (2500, 1, 4, 4), dtype=torch.uint8))


def test_an_image_binarised_once_depends_on_its_place_alone(splits: dict[str, Images]) -> None:
    whole = prepare_splits(splits, "static", seed=0)["val"].images
    first = prepare_splits(splits_of(splits["val"].images[:10]), "static", seed=0)["val"].images
    assert torch.equal(whole[:10], first)
    other = splits["val"].images.clone()
    other[:2490] = 255 - other[:2490]
    assert torch.equal(prepare_splits(splits_of(other), "static", seed=0)["val"].images[2490:], whole[2490:])


def test_seeds_and_splits_have_draws_of_their_own(splits: dict[str, Images]) -> None:
    prepared = prepare_splits(splits, "static", seed=0)
    assert torch.equal(prepare_splits(splits, "static", seed=0)["val"].images, prepared["val"].images)
    drawn = [*(split.images for split in prepared.values()), prepare_splits(splits, "static", seed=1)["val"].images]
    for i, one in enumerate(drawn):
        assert set(one.unique().tolist()) == {0, 255}
        assert all(not torch.equal(one, other) for other in drawn[:i])


def test_dynamic_evaluates_on_the_pixels_of_static(splits: dict[str, Images]) -> None:
    static, dynamic = prepare_splits(splits, "static", 0, training=True), prepare_splits(splits, "dynamic", 0, training=True)
    for name in ("val", "test"):
        assert torch.equal(static[name].images, dynamic[name].images)
    assert torch.equal(dynamic["train"].images, splits["train"].images)
    assert torch.equal(static["train"].images, prepare_splits(splits, "dynamic", 0)["train"].images)


def test_threshold_and_none(splits: dict[str, Images]) -> None:
    thresholded, grey = prepare_splits(splits, "threshold", 0, training=True), prepare_splits(splits, "none", 0, training=True)
    for name, split in splits.items():
        assert torch.equal(thresholded[name].images, torch.where(split.images >= 128, 255, 0).to(torch.uint8))
        assert torch.equal(grey[name].images, split.images)
        assert torch.equal(thresholded[name].labels, split.labels)
    edge = Images(torch.tensor([127, 128], dtype=torch.uint8), torch.arange(2))
    assert prepare_splits({"val": edge}, "threshold", 0)["val"].images.tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["static", "threshold"])
def test_a_large_part_of_a_map_is_binarised_as_it_is_served_to_the_same_pixels(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = torch.randint(0, 256, (30, 1, 4, 5), dtype=torch.uint8)
    index = torch.randperm(30)[:20]
    labels = torch.arange(20)
    kept = Images(stored[index], labels)
    mapped = Images(stored, labels, index=index)
    expected = prepare_splits({"val": kept}, mode, 0)["val"].images
    assert torch.equal(prepare_splits({"val": mapped}, mode, 0)["val"].images, expected)
    monkeypatch.setattr("vae_lightning.data.images.KEPT_BYTES", 0)
    served = prepare_splits({"val": mapped}, mode, 0)["val"]
    assert served.stored is stored
    places = torch.tensor([19, 3])
    assert torch.equal(served[places].images, expected[places])
    assert torch.equal(torch.cat(list(served.chunks(7))), expected)
