"""Labels of any form (whole numbers from anywhere, text, booleans, one-hot rows) as classes 0, 1 …, and −1 for none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vae_lightning.errors import UserError, printable

UNLABELLED = -1
SHOWN = 6  # entries of a list that a sentence shows in full


class Labels(NamedTuple):
    """What `read_labels` returns.

    Attributes:
        classes: int64, (N,), 0 to classes − 1; −1 for an image without a label.
        names: the name of each class, if the labels were not numbered from 0 already.
        notes: what was done with the labels, one sentence each.
    """

    classes: np.ndarray
    names: tuple[str, ...] | None
    notes: list[str]


def read_labels(values: np.ndarray, images: int) -> Labels:
    """The classes that labels of any form stand for.

    Whole numbers from 0 stay as they are; other whole numbers, and text, are numbered from 0 in order. −1, NaN and empty text
    mean that an image has no label.

    Args:
        values: (N,) integers, floats that are whole, booleans or text; or one-hot rows (N, classes).
        images: how many labels there must be.

    Raises:
        UserError: they are not one class for each image.
    """
    values = np.asarray(values)
    if values.ndim == 0 or len(values) != images:
        count = "1 label" if values.ndim == 0 or len(values) == 1 else f"{len(values):,} labels"
        raise UserError(f"There are {images:,} images but {count}: data.labels must have one for each image.")
    labels, names = _whole_numbers(_one_column(values))
    there = np.unique(labels[labels != UNLABELLED])
    notes = _missing_notes(labels)
    if not len(there):
        return Labels(labels, None, notes)
    if names is not None or (there[0] == 0 and 2 * len(there) > there[-1]):
        return Labels(labels, names, notes + _gap_notes(there, names))
    if there.tolist() == [1] and notes:
        raise UserError("data.labels are −1 and 1, and −1 stands for an image without a label: write two classes as 0 and 1.")
    classes = np.where(labels == UNLABELLED, UNLABELLED, np.searchsorted(there, labels))
    return Labels(classes, tuple(map(str, there.tolist())), [*notes, _mapping_note(there.tolist())])


def _one_column(values: np.ndarray) -> np.ndarray:
    """Labels (N,) from an array (N,), (N, 1), or one-hot (N, classes)."""
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.dtype.kind in "buif":
        if ((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all():
            return values.argmax(1)
        if values.dtype.kind == "f":
            raise UserError(
                f"data.labels of shape {values.shape} are not one-hot: data.labels are classes; numbers belong in data.targets."
            )
    raise UserError(
        f"data.labels have the shape {values.shape}: they must be one class for each image, (N,), or one-hot rows, (N, classes)."
    )


def _whole_numbers(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Integer labels (N,), −1 for none, and their names if they were text or booleans, which are numbered from 0 here."""
    if values.dtype.kind == "O":
        values = _of_objects(values)
    if values.dtype.kind == "b":
        return values.astype(np.int64), ("false", "true")
    if values.dtype.kind == "f":
        values = _of_floats(values)
    if values.dtype.kind in "US":
        return _of_text(values)
    if values.dtype.kind not in "ui":
        raise UserError(f"data.labels are {values.dtype}: they must be whole numbers or text.")
    if len(values) and int(values.max()) > np.iinfo(np.int64).max:
        raise UserError(f"data.labels go up to {values.max()}: they must be below 2⁶³.")
    if len(values) and int(values.min()) < UNLABELLED:
        raise UserError(f"data.labels go down to {values.min()}: classes count from 0, and −1 is an image without a label.")
    return values.astype(np.int64), None


def _of_floats(values: np.ndarray) -> np.ndarray:
    """Floats that are whole, as integers; NaN as −1."""
    known = values[~np.isnan(values)]
    odd = known[(np.abs(known) >= 2.0**53) | (known != np.round(known))]
    if len(odd):
        raise UserError(f"The label {odd[0]:g} is not whole: data.labels are classes; numbers belong in data.targets.")
    return np.where(np.isnan(values), UNLABELLED, values).astype(np.int64)


def _of_objects(values: np.ndarray) -> np.ndarray:
    """An array of Python objects, as lists, pandas and HDF5 give them, as text or numbers."""
    listed = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]

    def absent(value: Any) -> bool:
        return value is None or (isinstance(value, float) and value != value)

    if any(isinstance(value, str) for value in listed) and all(isinstance(value, str) or absent(value) for value in listed):
        return np.array(["" if absent(value) else value for value in listed], dtype=str)
    if all(isinstance(value, bool | int | float) or absent(value) for value in listed):
        return np.array(
            [np.nan if absent(value) else value for value in listed], dtype=float if any(map(absent, listed)) else None
        )
    odd = next(value for value in listed if not isinstance(value, str))
    raise UserError(f"data.labels hold text and other values, such as {printable(str(odd))[:80]}: they must be of one kind.")


def _of_text(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Text numbered in sorted order, empty text as −1; text that reads as whole numbers counts as those."""
    text = np.char.strip(np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values)
    known = text != ""
    try:
        numbers = np.full(len(text), UNLABELLED, np.int64)
        numbers[known] = text[known].astype(np.int64)
        if not (numbers < UNLABELLED).any():
            return numbers, None
    except (ValueError, OverflowError):
        pass
    names, inverse = np.unique(text[known], return_inverse=True)
    labels = np.full(len(text), UNLABELLED, np.int64)
    labels[known] = inverse
    return labels, tuple(printable(name) for name in names.tolist())


def _missing_notes(labels: np.ndarray) -> list[str]:
    missing = int((labels == UNLABELLED).sum())
    if not missing:
        return []
    if missing == len(labels):
        return ["No image has a label: all are −1."]
    return [f"{missing:,} of {len(labels):,} images have no label: −1, which is left out wherever labels are read."]


def _gap_notes(there: np.ndarray, names: tuple[str, ...] | None) -> list[str]:
    """What to say of classes without an image, and of how text was numbered."""
    if names is not None:
        return [_mapping_note(list(names))]
    absent = np.setdiff1d(np.arange(there[-1]), there).tolist()
    if not absent:
        return []
    which = f"class {absent[0]}" if len(absent) == 1 else f"the classes {_listed([str(label) for label in absent])}"
    return [f"No image has the label of {which}, so that {'it is' if len(absent) == 1 else 'they are'} empty."]


def _mapping_note(labels: list[Any]) -> str:
    return f"Labels became classes numbered from 0: {_listed([f'{label} → {number}' for number, label in enumerate(labels)])}."


def _listed(words: list[str]) -> str:
    """`a, b, c`, cut in the middle if it is long."""
    return ", ".join(words if len(words) <= SHOWN else [*words[: SHOWN - 2], "…", words[-1]])
