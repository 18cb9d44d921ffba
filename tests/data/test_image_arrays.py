from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vae_lightning.data import image_arrays
from vae_lightning.data.image_arrays import check_range, read_images
from vae_lightning.errors import InvalidValue, UserError

LEVELS = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
LEVELS[0, 0, :2] = 0, 255
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_arrays, "CHUNK_BYTES", 100)


def _read(array: np.ndarray, layout: str = "auto", value_range: Any = None) -> tuple[torch.Tensor, str]:
    images, notes = read_images({"x": array}, layout, value_range)
    return images["x"], " ".join(notes)


@pytest.mark.parametrize(
    ("array", "layout", "expected"),
    [
        (LEVELS, "NHW", LEVELS[:, None]),
        (LEVELS[:, None], "NCHW", LEVELS[:, None]),
        (LEVELS[..., None], "NHWC", LEVELS[:, None]),
        (COLOUR, "NHWC", COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), "NCHW", COLOUR.transpose(0, 3, 1, 2)),
        (np.asfortranarray(COLOUR), "NHWC", COLOUR.transpose(0, 3, 1, 2)),
    ],
)
def test_layouts_are_told_apart(array: np.ndarray, layout: str, expected: np.ndarray) -> None:
    images, note = _read(array)
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), expected)
    assert f"5×7 from uint8 {layout}" in note
    assert np.array_equal(_read(array, layout)[0].numpy(), expected)


def test_uint8_images_are_not_copied() -> None:
    for array in (LEVELS, COLOUR, COLOUR.transpose(0, 3, 1, 2)):
        assert _read(array)[0].data_ptr() == array.ctypes.data


@pytest.mark.parametrize(
    ("shape", "layout", "sentence"),
    [
        ((6, 3, 5, 3), "auto", r"\(6, 3, 5, 3\), and either end may be the channels: say data\.layout=NHWC or NCHW\."),
        ((6, 5, 7, 4), "auto", r"with 4 channels: blend the alpha channel, or leave it out by \[\.\.\., :3\]\."),
        ((6, 4, 5, 7), "auto", r"with 4 channels: blend the alpha channel, or leave it out by \[:, :3\]\."),
        ((6, 5, 7, 9), "auto", r"neither the second nor the last axis has the 1 or 3 channels of images\."),
        ((6, 5, 7, 3), "NCHW", r"x has the shape \(6, 5, 7, 3\), 5 channels with data\.layout=NCHW: images have 1 or 3\."),
        ((6, 5, 7), "NCHW", r"x has the shape \(6, 5, 7\) with data\.layout=NCHW: it must be \(N, H, W\)"),
        ((6, 5, 7, 3), "NHW", r"x has the shape \(6, 5, 7, 3\) with data\.layout=NHW: it must be \(N, H, W\)"),
        ((2, 6, 5, 7, 3), "auto", r"x has the shape \(2, 6, 5, 7, 3\): it must be \(N, H, W\)"),
        ((6, 5), "NHW", r"data\.layout=NHW would have no effect: x has the shape \(6, 5\); leave it out\."),
        ((0, 5, 7), "auto", r"x has the shape \(0, 5, 7\): there are no images in it\."),
        ((), "auto", r"x has the shape \(\): there are no images in it\."),
    ],
)  # fmt: skip
def test_other_shapes_are_refused(shape: tuple[int, ...], layout: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _read(np.zeros(shape, np.uint8), layout)


def test_an_ambiguous_shape_is_read_as_said() -> None:
    array = np.arange(6 * 3 * 5 * 3, dtype=np.uint8).reshape(6, 3, 5, 3)
    assert tuple(_read(array, "NHWC")[0].shape) == (6, 3, 3, 5)
    assert tuple(_read(array, "NCHW")[0].shape) == (6, 3, 5, 3)


BITS = (LEVELS > 127).astype(np.uint8)


@pytest.mark.parametrize(
    ("array", "expected", "said"),
    [
        (LEVELS, LEVELS, ""),
        (BITS, BITS * 255, "no value is above 1, so 1 is read as white"),
        (BITS.astype(bool), BITS * 255, ""),
        (BITS.astype(np.int64), BITS * 255, "no value is above 1, so 1 is read as white"),
        (LEVELS.astype(np.int32), LEVELS, "values up to 255 are read as 8 bits"),
        (LEVELS.astype(np.uint16), LEVELS, "values up to 255 are read as 8 bits"),
        (LEVELS.astype(np.uint16) * 257, LEVELS, "16 bits divided by 257, so 65535 is white, and the largest value is 65535"),
        (LEVELS.astype(">u2") * 257, LEVELS, "16 bits divided by 257"),
        (LEVELS / 255, LEVELS, "values from 0 to 1 are read as data.range=[0,1], in 256 levels"),
        ((LEVELS / 255).astype(np.float32), LEVELS, "values from 0 to 1 are read as data.range=[0,1], in 256 levels"),
        (LEVELS / 127.5 - 1, LEVELS, "values from −1 to 1 are read as data.range=[-1,1], in 256 levels"),
        (LEVELS // 16, LEVELS // 16, "no value is above 15, and 255 is white (data.range=[0,15] would read 15 as white)"),
        (LEVELS // 16.0, LEVELS // 16, "read as data.range=[0,255]; no value is above 15, and 255 is white"),
        (LEVELS.astype(np.float32), LEVELS, "whole values from 0 to 255 are read as data.range=[0,255]"),
        (LEVELS / 255 + 5e-5, LEVELS, "are read as data.range=[0,1]"),
    ],
)
def test_ranges_are_told_apart_and_said(array: np.ndarray, expected: np.ndarray, said: str) -> None:
    images, note = _read(array)
    assert np.array_equal(images[:, 0].numpy(), expected)
    assert said in note


@pytest.mark.parametrize(
    ("array", "value_range", "expected"),
    [
        (BITS, (0.0, 255.0), BITS),
        (BITS, (0.0, 1.0), BITS * 255),
        (LEVELS.astype(np.uint16) * 16, (0.0, 4080.0), LEVELS),
        (LEVELS * 2.0 - 100, (-100.0, 410.0), LEVELS),
    ],
)
def test_a_range_that_was_said_is_used(array: np.ndarray, value_range: tuple[float, float], expected: np.ndarray) -> None:
    assert np.array_equal(_read(array, value_range=value_range)[0][:, 0].numpy(), expected)


@pytest.mark.parametrize(
    ("array", "value_range", "sentence"),
    [
        ((LEVELS / 255 - 0.1307) / 0.3081, None, r"The values of x go from −0\.4242 to 2\.821, and floats are read as images in"),
        (LEVELS.astype(np.int16) - 1, None, r"The values of x, int16, go from −1 to 254, which are no grey levels of 0 to 255"),
        (LEVELS.astype(np.int32) * 257, None, r"The values of x, int32, go from 0 to 65535, which are no grey levels"),
        (LEVELS, (0.0, 1.0), r"data\.range=\[0,1\], but the values of x go from 0 to 255: they must lie in the range\."),
        (np.full((3, 4, 4), np.nan), None, r"x: number 0, counted from 0, holds NaN; all values must be finite\."),
        (np.zeros((2, 4, 4), complex), None, r"x is an array of complex128: it must hold integers, floats or booleans\."),
        (np.zeros((2, 4, 4), "U3"), None, r"x is an array of <U3: it must hold integers, floats or booleans\."),
    ],
)
def test_values_that_are_no_grey_levels_are_refused(array: np.ndarray, value_range: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _read(array, value_range=value_range)


def test_the_first_image_with_infinity_is_named() -> None:
    array = LEVELS / 255
    array[4, 2, 2] = np.inf
    with pytest.raises(UserError, match=r"x: number 4, counted from 0, holds infinity"):
        _read(array)


def test_arrays_of_splits_share_one_range_and_must_agree() -> None:
    images, _ = read_images({"a": BITS, "b": LEVELS})
    assert np.array_equal(images["a"][:, 0].numpy(), BITS)
    with pytest.raises(UserError, match=r"a is uint8 \(6, 5, 7\), but b is float64 \(6, 5, 7\): they must agree\."):
        read_images({"a": LEVELS, "b": LEVELS / 255})
    with pytest.raises(UserError, match=r"a is uint8 \(6, 5, 7\), but b is uint8 \(6, 7\): they must agree\."):
        read_images({"a": LEVELS, "b": LEVELS[:, 0]})


@pytest.mark.parametrize("shape", [(6, 8), (6, 1, 8), (6, 8, 1), (6,), (6, 5000)])
def test_rows_of_numbers_are_no_images(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(3, 10, shape)
    images, note = _read(array)
    assert images.dtype == torch.float32
    assert np.array_equal(images.numpy(), array.reshape(6, 1, 1, -1).astype(np.float32))
    assert "standardised by the training rows" in note


def test_flattened_images_are_read_as_numbers_with_a_hint() -> None:
    _, note = _read(np.zeros((6, 784), np.uint8))
    assert note.endswith("if they are images of 28×28, save them as (N, 28, 28).")


def test_numbers_that_float32_cannot_hold_are_refused() -> None:
    times = 1.7e9 + np.arange(60.0).reshape(20, 3)
    with pytest.raises(UserError, match=r"Column 0 of x has values such as 1700000000 that differ by about 17\.\d+, which"):
        _read(times)
    assert torch.equal(_read(times - 1.7e9)[0].flatten(), torch.arange(60.0))
    with pytest.raises(UserError, match=r"The values of x go beyond 3·10³⁸, the largest of float32: divide them by a constant\."):
        _read(np.array([[1e39], [1.0]]))
    assert _read(np.array([[1e30], [2e30]]))[0].isfinite().all()
    with pytest.raises(UserError, match=r"x: number 1, counted from 0, holds NaN"):
        _read(np.array([[1.0], [np.nan]]))


def test_a_range_has_no_effect_on_numbers() -> None:
    with pytest.raises(UserError, match=r"data\.range would have no effect: x is float64 \(6, 8\), a table of numbers"):
        _read(np.zeros((6, 8)), value_range=(0.0, 1.0))


def test_a_range_is_two_numbers() -> None:
    assert check_range("range", "auto") is None
    assert check_range("range", [-1, 1]) == (-1.0, 1.0)
    for value in ([1, 0], [0, 0], [0], "0,1", [0, "1"], [0, float("inf")], None, [False, True]):
        with pytest.raises(InvalidValue, match="must be"):
            check_range("range", value)
