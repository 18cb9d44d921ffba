"""Signals and rows of a table, drawn as lines where images would be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

INK = "#333333"
MOST_COLUMNS = 40  # numbers of a row, up to which each one has a dot
CELL = (0.9, 0.6)  # inches


def lines_figure(rows: np.ndarray, title: str, row_labels: Sequence[str] = ()) -> Figure:
    """A grid of lines, all on one scale.

    Args:
        rows: (rows, columns, D), in the units of the data.
        title: of the figure.
        row_labels: beside each row of the grid.
    """
    count, columns, size = rows.shape
    left = 0.95 if row_labels else 0.55
    figure = Figure(figsize=(left + CELL[0] * columns, 0.5 + CELL[1] * count), dpi=100)
    width, height = (float(part) for part in figure.get_size_inches())
    low, high = float(rows.min()), float(rows.max())
    margin = 0.05 * (high - low) or 1.0
    style: dict[str, Any] = {"lw": 0.8, "color": "C0", **({"marker": ".", "ms": 2} if size <= MOST_COLUMNS else {})}
    for r in range(count):
        bottom = (CELL[1] * (count - 1 - r) + 0.08) / height
        for c in range(columns):
            ax = figure.add_axes(((left + CELL[0] * c) / width, bottom, 0.92 * CELL[0] / width, 0.9 * CELL[1] / height))
            ax.plot(np.arange(size), rows[r, c], **style)
            ax.set(ylim=(low - margin, high + margin), xticks=[], yticks=[])
            for side in ax.spines.values():
                side.set(lw=0.4, color="0.8")
        if r < len(row_labels):
            figure.text(
                (left - 0.08) / width, bottom + 0.45 * CELL[1] / height, row_labels[r], ha="right", va="center", fontsize=9
            )
    figure.text(left / width, 1 - 0.22 / height, f"{title}  ({low:.3g} to {high:.3g})", va="center", fontsize=10, color=INK)
    return figure
