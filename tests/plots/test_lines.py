from __future__ import annotations

import numpy as np
import torch

from vae_lightning.plots.images import grid_figure


def test_rows_of_numbers_are_drawn_as_lines_on_one_scale() -> None:
    rows = torch.arange(2 * 3 * 5.0).view(2, 3, 1, 1, 5) - 100
    figure = grid_figure(rows, "Signals", row_labels=["x", "x̂"])
    assert len(figure.axes) == 6
    drawn = [np.asarray(ax.lines[0].get_ydata()) for ax in figure.axes]
    assert np.array_equal(np.stack(drawn), rows.view(6, 5).numpy())
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert [text.get_text() for text in figure.texts] == ["x", "x̂", "Signals  (-100 to -71)"]


def test_a_single_number_is_a_point() -> None:
    figure = grid_figure(torch.zeros(1, 1, 1, 1, 1), "One")
    assert figure.axes[0].lines[0].get_marker() == "."
