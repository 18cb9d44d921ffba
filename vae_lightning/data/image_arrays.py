"""Arrays of any layout, type and range of values as the models take them: uint8 images, or float32 rows of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_lightning.errors import InvalidValue, UserError, is_finite

LAYOUTS = ("auto", "NHW", "NHWC", "NCHW")
TABLE = "ND"  # rows of numbers that are no image
CHANNELS = (1, 3)
CHUNK_BYTES = 64 * 2**20  # looked at together: a memory map may be larger than the memory
SLACK = 1e-4  # by which floats may leave their range, from rounding or interpolation
DARK = 64  # a largest level below this is pointed out
LOST = 1e-3  # of a column's standard deviation: what float32 may round


class Extremes(NamedTuple):
    """The smallest and largest value of arrays, and whether all are whole."""

    low: float
    high: float
    whole: bool

    def __str__(self) -> str:
        return f"{_number(self.low)} to {_number(self.high)}"


class Levels(NamedTuple):
    """How values become grey levels: `low` is black, `high` is white; None, if they are uint8 levels already."""

    range: tuple[float, float] | None
    note: str = ""


def check_range(name: str, value: Any) -> tuple[float, float] | None:
    """`[low, high]` as a pair, None for auto; else raise InvalidValue."""
    if value == "auto":
        return None
    good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    if not good or not all(isinstance(end, int | float) and not isinstance(end, bool) and is_finite(end) for end in value):
        raise InvalidValue(name, value, "auto, or the values of black and white, such as [0,1] or [-1,1]")
    if not value[0] < value[1]:
        raise InvalidValue(name, value, "the values of black and white, the smaller one first")
    return float(value[0]), float(value[1])


def read_images(
    arrays: Mapping[str, np.ndarray], layout: str = "auto", value_range: tuple[float, float] | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """Images or rows of numbers from arrays that belong together, such as those of each split.

    Arrays of uint8 levels are not copied, memory maps included.

    Args:
        arrays: by the name that messages call them, all of the same layout: (N, H, W), (N, H, W, C) or (N, C, H, W) of grey
            levels; or (N, D) of any numbers.
        layout: which of these, NHW, NHWC or NCHW; auto: as the shape tells.
        value_range: the values of black and white; None: as type and values tell.

    Returns:
        For each array uint8 images (N, C, H, W), or float32 rows (N, 1, 1, D); and notes, one sentence each.

    Raises:
        UserError: layout or range cannot be told, or are not what was said; or a value is NaN or infinite.
    """
    name, first = next(iter(arrays.items()))
    for other, array in arrays.items():
        _check_numbers(array, other)
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            raise UserError(f"{name} is {_described(first)}, but {other} is {_described(array)}: they must agree.")
    layout = find_layout(first.shape, layout, name)
    if layout == TABLE:
        if value_range is not None:
            raise UserError(f"data.range would have no effect: {name} is {_described(first)}, a table of numbers; leave it out.")
        return {key: _rows(array, key) for key, array in arrays.items()}, [_table_note(first)]
    levels = find_levels(first.dtype, extremes(arrays), value_range, name)
    images = {key: _channels_first(_grey_levels(array, levels.range), layout) for key, array in arrays.items()}
    channels, height, width = next(iter(images.values())).shape[1:]
    what = "RGB" if channels == 3 else "Grey"
    note = f"{what} images of {height}×{width} from {first.dtype} {layout}"
    return images, [f"{note}{'; ' + levels.note if levels.note else ''}."]


def _check_numbers(array: np.ndarray, name: str) -> None:
    if array.dtype.kind not in "buif":
        raise UserError(f"{name} is an array of {array.dtype}: it must hold integers, floats or booleans.")
    if array.ndim == 0 or len(array) == 0 or array.size == 0:
        raise UserError(f"{name} has the shape {array.shape}: there are no images in it.")


# -------------------------------------------------------------------- layout


def find_layout(shape: tuple[int, ...], layout: str, name: str) -> str:
    """NHW, NHWC, NCHW, or ND for rows of numbers.

    Raises:
        UserError: the shape does not tell, or does not fit the `layout` that was said.
    """
    if len(shape) > 4 or (len(shape) == 4 and layout == "NHW") or (len(shape) != 4 and layout in ("NHWC", "NCHW")):
        given = f" with data.layout={layout}" if layout != "auto" else ""
        raise UserError(f"{name} has the shape {shape}{given}: it must be (N, H, W), (N, H, W, C), (N, C, H, W) or (N, D).")
    if len(shape) == 3:
        return TABLE if layout == "auto" and 1 in shape[1:] else "NHW"
    if len(shape) < 3:
        if layout != "auto":
            raise UserError(f"data.layout={layout} would have no effect: {name} has the shape {shape}; leave it out.")
        return TABLE
    if layout == "auto":
        layout = _told_apart(shape, name)
    channels = shape[3] if layout == "NHWC" else shape[1]
    if channels not in CHANNELS:
        raise UserError(f"{name} has the shape {shape}, {channels} channels with data.layout={layout}: images have 1 or 3.")
    return layout


def _told_apart(shape: tuple[int, ...], name: str) -> str:
    """NHWC or NCHW, by which axis can be the channels; UserError if both or neither can."""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first != last:
        return "NCHW" if first else "NHWC"
    if first:
        raise UserError(f"{name} has the shape {shape}, and either end may be the channels: say data.layout=NHWC or NCHW.")
    if 4 in (shape[1], shape[3]):
        dropped = "[..., :3]" if shape[3] == 4 else "[:, :3]"
        raise UserError(f"{name} has the shape {shape}, with 4 channels: blend the alpha channel, or leave it out by {dropped}.")
    raise UserError(f"{name} has the shape {shape}: neither the second nor the last axis has the 1 or 3 channels of images.")


def _channels_first(levels: np.ndarray, layout: str) -> Tensor:
    """uint8 levels as a tensor (N, C, H, W), which shares the array's memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing writes to images
        pixels = torch.from_numpy(levels)
    if layout == "NHW":
        return pixels.unsqueeze(1)
    return pixels.permute(0, 3, 1, 2) if layout == "NHWC" else pixels


# -------------------------------------------------------------------- values


def chunks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The array a few rows at a time, each part with the index of its first row."""
    size = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    return ((start, array[start : start + size]) for start in range(0, len(array), size))


def extremes(arrays: Mapping[str, np.ndarray]) -> Extremes:
    """The extremes of all values. UserError, with the index, if one is NaN or infinite."""
    low, high, whole = np.inf, -np.inf, True
    for name, array in arrays.items():
        for start, part in chunks(array):
            least, most = part.min(), part.max()
            if part.dtype.kind == "f":
                check_finite(part, start, name)
                whole = whole and bool((part == np.round(part)).all())
            low, high = min(low, float(least)), max(high, float(most))
    return Extremes(low, high, whole)


def check_finite(part: np.ndarray, start: int, name: str) -> None:
    """UserError if one of these rows, the first of which has the index `start`, holds NaN or infinity."""
    if np.isfinite(part.min()) and np.isfinite(part.max()):
        return
    row = int(np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(1))[0])
    what = "NaN" if np.isnan(part[row]).any() else "infinity"
    raise UserError(f"{name}: number {start + row}, counted from 0, holds {what}; all values must be finite.")


def find_levels(dtype: np.dtype[Any], found: Extremes, value_range: tuple[float, float] | None, name: str) -> Levels:
    """Which values are black and white.

    Raises:
        UserError: the values do not tell, or leave the range that was said.
    """
    if value_range is not None:
        low, high = value_range
        slack = SLACK * (high - low) if dtype.kind == "f" else 0
        if found.low < low - slack or found.high > high + slack:
            said = f"data.range=[{_number(low)},{_number(high)}]"
            raise UserError(f"{said}, but the values of {name} go from {found}: they must lie in the range.")
        return Levels(None if dtype == np.uint8 and value_range == (0, 255) else value_range)
    if dtype.kind == "b":
        return Levels((0, 1))
    return _float_levels(found, name) if dtype.kind == "f" else _integer_levels(dtype, found, name)


def _integer_levels(dtype: np.dtype[Any], found: Extremes, name: str) -> Levels:
    if found.low >= 0 and found.high <= 1:
        return Levels((0, 1), "no value is above 1, so 1 is read as white (data.range=[0,255] would read it as nearly black)")
    if found.low >= 0 and found.high <= 255:
        read = [] if dtype == np.uint8 else ["values up to 255 are read as 8 bits"]
        return Levels(None if dtype == np.uint8 else (0, 255), "; ".join([*read, *_dark_note(found)]))
    if dtype == np.uint16:
        return Levels(
            (0, 65535),
            f"16 bits divided by 257, so 65535 is white, and the largest value is {found.high:.0f} (data.range says otherwise)",
        )
    raise UserError(
        f"The values of {name}, {dtype}, go from {found}, which are no grey levels of 0 to 255: say data.range=[low,high], the "
        "values of black and white."
    )


def _dark_note(found: Extremes) -> list[str]:
    """What to say of levels that are all dark, such as the 0 to 16 of scikit-learn's digits."""
    white = int(found.high)
    return (
        [f"no value is above {white}, and 255 is white (data.range=[0,{white}] would read {white} as white)"]
        if white < DARK
        else []
    )


def _float_levels(found: Extremes, name: str) -> Levels:
    if found.low >= -SLACK and found.high <= 1 + SLACK:
        return Levels((0, 1), f"values from {found} are read as data.range=[0,1], in 256 levels")
    if found.low >= -1 - SLACK and found.high <= 1 + SLACK:
        return Levels((-1, 1), f"values from {found} are read as data.range=[-1,1], in 256 levels")
    if found.low >= 0 and found.high <= 255 and found.whole:
        return Levels((0, 255), "; ".join([f"whole values from {found} are read as data.range=[0,255]", *_dark_note(found)]))
    raise UserError(
        f"The values of {name} go from {found}, and floats are read as images in [0,1] or [-1,1]: say data.range=[low,high], the "
        "values of black and white (numbers that are no image have the shape (N, D))."
    )


def _grey_levels(array: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    """uint8, 0 to 255, of the same shape; the array itself if it is that already."""
    if value_range is None:
        return array
    low, high = value_range
    levels = np.empty(array.shape, np.uint8)
    for start, part in chunks(array):
        exact: np.ndarray = part.astype(np.float64)
        levels[start : start + len(part)] = np.rint((exact - low) * (255 / (high - low))).clip(0, 255)
    return levels


# -------------------------------------------------------------------- numbers that are no image


def _rows(array: np.ndarray, name: str) -> Tensor:
    """float32 (N, 1, 1, D); UserError if that would lose what tells the values of a column apart."""
    table = array.reshape(len(array), -1)
    rows = np.empty(table.shape, np.float32)
    for start, part in chunks(table):
        if part.dtype.kind == "f":
            check_finite(part, start, name)
        with np.errstate(over="ignore"):
            rows[start : start + len(part)] = part
        if not np.isfinite(rows[start : start + len(part)]).all():
            raise UserError(f"The values of {name} go beyond 3·10³⁸, the largest of float32: divide them by a constant.")
    if table.dtype.itemsize > 2 and table.dtype != np.float32:
        _check_precision(table, rows, name)
    return torch.from_numpy(rows).view(len(rows), 1, 1, -1)


def _check_precision(table: np.ndarray, rows: np.ndarray, name: str) -> None:
    sums, squares, lost = (np.zeros(table.shape[1]) for _ in range(3))
    centre = table[0].astype(np.float64)
    for start, part in chunks(table):
        exact = part.astype(np.float64)
        sums += (exact - centre).sum(0)
        squares += ((exact - centre) ** 2).sum(0)
        lost = np.maximum(lost, np.abs(exact - rows[start : start + len(part)]).max(0))
    deviation = np.sqrt(np.maximum(squares / len(table) - (sums / len(table)) ** 2, 0))
    odd = np.flatnonzero((lost > LOST * deviation) & (deviation > 0))
    if len(odd):
        column = int(odd[0])
        raise UserError(
            f"Column {column} of {name} has values such as {_number(centre[column])} that differ by about "
            f"{_number(deviation[column])}, which float32 cannot tell apart: subtract a constant."
        )


def _table_note(array: np.ndarray) -> str:
    size = int(np.prod(array.shape[1:]))
    side = round(size**0.5)
    grey = array.dtype == np.uint8 and side * side == size and side > 4
    hint = f"; if they are images of {side}×{side}, save them as (N, {side}, {side})" if grey else ""
    return f"Rows of {size:,} {'numbers' if size > 1 else 'number'}, which are standardised by the training rows{hint}."


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−") if abs(value) < 1e6 and value != round(value) else f"{value:.10g}".replace("-", "−")
