from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_lightning.data.binarization import prepare_splits
from vae_lightning.data.images import Images
from vae_lightning.data.sprites import FACTORS, GRID, SHAPES, Sprites, factors_of, render
from vae_lightning.errors import InvalidValue

SMALL: dict[str, Any] = {"images": 900, "val_size": 100, "test_size": 200, "size": 32}


@pytest.fixture(scope="module")
def splits() -> dict[str, Images]:
    return Sprites(**SMALL).splits()


def centroid(images: Tensor) -> Tensor:
    """(N, 2): x and y of the mean white pixel, in 64ths of the image."""
    size = images.shape[-1]
    centres = (torch.arange(size) + 0.5) * 64 / size
    weight = images[:, 0].double() / images.double().sum((1, 2, 3))[:, None, None]
    return torch.stack([weight.sum(1) @ centres.double(), weight.sum(2) @ centres.double()], 1)


def test_the_grid_is_that_of_dsprites() -> None:
    assert list(FACTORS.values()) == [3, 6, 40, 32, 32]
    assert GRID == 737_280
    assert factors_of(np.array([0, 1, 32, GRID - 1])).tolist() == [
        [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [2, 5, 39, 31, 31],
    ]  # fmt: skip


@pytest.mark.parametrize("size", [64, 32])
def test_a_pixel_is_white_where_its_centre_lies_in_the_shape(size: int) -> None:
    """The definition, pixel by pixel, compared with the windows that are cut out."""
    factors = torch.from_numpy(factors_of(np.random.default_rng(0).integers(0, GRID, 60)))
    images = render(factors, size)
    centres = (torch.arange(size) + 0.5) * 64 / size
    for image, (shape, scale, orientation, x, y) in zip(images, factors.tolist(), strict=True):
        u, v = centres.view(1, -1) - (16.5 + x), centres.view(-1, 1) - (16.5 + y)
        angle = 2 * math.pi * orientation / 40
        a, b = u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)
        inside = SHAPES[shape](a / (0.5 + 0.1 * scale), -b / (0.5 + 0.1 * scale))
        # rounding decides where a centre lies on the outline
        assert ((image[0] == 255) != inside).sum() <= 2
    assert set(images.unique().tolist()) == {0, 255}


@pytest.mark.parametrize("size", [64, 32])
def test_x_goes_right_and_y_goes_down_and_nothing_is_cut_off(size: int) -> None:
    corners = torch.tensor([[s, 5, o, x, y] for s in range(3) for o in range(40) for x in (0, 31) for y in (0, 31)])
    images = render(corners, size)
    inner = render(torch.cat([corners[:, :3], torch.tensor([15, 15]).expand(len(corners), 2)], 1), size)
    moved = centroid(images) - centroid(inner)
    torch.testing.assert_close(moved, (corners[:, 3:] - 15).double(), atol=0.25 if size == 64 else 1.01, rtol=0)
    assert images[:, 0, 0].max() == images[:, 0, -1].max() == images[:, 0, :, 0].max() == images[:, 0, :, -1].max() == 0


def test_scale_is_that_of_lengths_and_orientation_turns() -> None:
    grow = render(torch.tensor([[0, scale, 0, 15, 15] for scale in range(6)]))
    area = grow.double().sum((1, 2, 3)).sqrt()
    torch.testing.assert_close(area / area[5], torch.linspace(0.5, 1, 6).double(), atol=0.06, rtol=0)
    # a square looks the same after a quarter turn, an ellipse after half a turn, a heart only after a whole one
    for shape, period in ((0, 10), (1, 20), (2, 40)):
        turned = render(torch.tensor([[shape, 5, o, 15, 15] for o in range(40)])).double()
        different = (turned[0] != turned).flatten(1).sum(1)
        alike = {o for o in range(40) if different[o] <= 8}
        assert alike == set(range(0, 40, period))


def test_splits_share_no_image_of_the_grid_and_carry_their_factors(splits: dict[str, Images]) -> None:
    assert {name: len(split) for name, split in splits.items()} == {"train": 600, "val": 100, "test": 200}
    rows = [tuple(row) for split in splits.values() for row in split.factors.tolist()]  # type: ignore[union-attr]
    assert len(set(rows)) == 900
    for split in splits.values():
        assert split.factors is not None
        assert torch.equal(split.labels, split.factors[:, 0])
        assert torch.equal(split.images, render(split.factors, 32))
    everything = np.array(rows)
    for column, count in enumerate(FACTORS.values()):
        assert everything[:, column].min() == 0
        assert everything[:, column].max() == count - 1
        assert everything[:, column].mean() == pytest.approx((count - 1) / 2, abs=4 * count / 900**0.5 / 3.4)


def test_the_images_are_a_function_of_split_seed(splits: dict[str, Images]) -> None:
    again, other = Sprites(**SMALL).splits(), Sprites(**SMALL, split_seed=1).splits()
    assert torch.equal(again["test"].images, splits["test"].images)
    assert not torch.equal(other["test"].images, splits["test"].images)


@pytest.mark.parametrize("mode", ["dynamic", "static", "threshold", "none"])
def test_binarising_changes_nothing_and_keeps_the_factors(splits: dict[str, Images], mode: str) -> None:
    for name, split in prepare_splits(splits, mode, 0).items():
        assert torch.equal(split.images, splits[name].images)
        assert split.factors is splits[name].factors


def test_facts_are_exact(splits: dict[str, Images]) -> None:
    data_spec = Sprites(**SMALL).spec()
    assert (data_spec.shape, data_spec.train_size) == ((1, 32, 32), 600)
    assert data_spec.mean == pytest.approx(splits["train"].images.double().mean().item() / 255, rel=1e-12)


@pytest.mark.parametrize("bad", [{"images": 0}, {"images": GRID + 1}, {"size": 28}, {"test_size": 0}])
def test_values_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        Sprites(**bad)


def test_all_of_the_grid_can_be_had() -> None:
    assert Sprites(images=None).images == GRID
    with pytest.raises(InvalidValue, match=r"^test_size="):
        Sprites(images=100).splits()


@pytest.mark.slow
def test_the_whole_grid_is_drawn() -> None:
    splits = Sprites(images=None, size=32).splits()
    rows = torch.cat([split.factors for split in splits.values() if split.factors is not None])
    assert len(rows.unique(dim=0)) == GRID
