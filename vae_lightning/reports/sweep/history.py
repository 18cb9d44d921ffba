"""Reads the learning curves of a run from `metrics.csv`, leaving out damaged rows."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from vae_lightning.errors import RunError, printable
from vae_lightning.readers import MB, read_bytes

History = dict[tuple[str, str], dict[int, float]]  # by kind (train, val) and metric: the value at the end of each epoch

LIMIT = 256 * MB
LONGEST_LINE, MOST_EPOCHS = 100_000, 10_000_000


def read_history(path: Path) -> tuple[History, str | None]:
    """Return the last value of each metric in each epoch, and a sentence if the file is damaged.

    If a resumed run repeats an epoch, the last row counts. A row that cannot be read is left out. Without a file there are no
    curves.
    """
    try:
        text = read_bytes(path, LIMIT).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return {}, None
    except RunError as error:
        return {}, printable(str(error))
    head, *lines = text.splitlines() or [""]
    names = _cells(head)
    if "kind" not in names or "epoch" not in names:
        return {}, f"{printable(str(path))} is damaged: it lacks the columns kind and epoch."
    history: History = {}
    damaged = sum(not _add(line, names, history) for line in lines if line)
    return history, f"{printable(str(path))} is damaged: {damaged} of its rows cannot be read." if damaged else None


def _cells(line: str) -> list[str]:
    if len(line) > LONGEST_LINE:
        return []
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _add(line: str, names: list[str], history: History) -> bool:
    """Add a row, and return whether all of it could be read."""
    cells = _cells(line)
    if len(cells) != len(names):
        return False
    row = dict(zip(names, cells, strict=True))
    epoch = _number(row["epoch"])
    if epoch is None or not 0 <= epoch < MOST_EPOCHS:
        return False
    whole = True
    for name, cell in row.items():
        if name in ("kind", "epoch") or not cell:
            continue
        value = _number(cell)
        whole = whole and value is not None
        if value is not None:
            history.setdefault((row["kind"], name), {})[int(epoch)] = value
    return whole


def _number(cell: str) -> float | None:
    """Return the number in a cell; None if it cannot be read or drawn, like the infinite values and NaN of a diverged run."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < 1e100 or not math.isfinite(value) else None
