"""The scatter of codes and the bars of KL per latent dimension."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vae_lightning.plots.images import to_array
from vae_lightning.plots.latents import kl_bars, latent_scatter, name_of


def points(figure: Figure) -> np.ndarray:
    return np.concatenate([np.asarray(part.get_offsets()) for part in figure.axes[0].collections])


def test_the_scatter_shows_two_dimensional_codes_as_they_are() -> None:
    codes, labels = torch.randn(30, 2), torch.arange(30) // 10
    figure = latent_scatter(codes, labels)
    np.testing.assert_allclose(points(figure), codes.numpy(), rtol=1e-6)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2"]
    assert len({str(part.get_facecolor()) for part in figure.axes[0].collections}) == 3


def test_the_scatter_shows_the_directions_of_most_variance() -> None:
    planted = torch.randn(300, 2) * torch.tensor([1.0, 5.0])
    rotation = torch.linalg.qr(torch.randn(6, 2))[0]
    figure = latent_scatter(planted @ rotation.T + 3, torch.zeros(300))
    shown = points(figure)
    assert shown.shape == (300, 2)
    for component, dimension in ((0, 1), (1, 0)):
        assert abs(np.corrcoef(shown[:, component], planted[:, dimension])[0, 1]) > 0.99
    assert figure.axes[0].get_xlabel().startswith("principal component 1 (9")


def test_the_scatter_of_one_dimension() -> None:
    codes = torch.randn(30, 1)
    np.testing.assert_allclose(points(latent_scatter(codes, torch.zeros(30)))[:, 0], codes[:, 0], rtol=1e-6)


def test_the_scatter_of_a_single_image() -> None:
    figure = latent_scatter(torch.randn(1, 3), torch.zeros(1))
    assert points(figure).tolist() == [[0, 0]]
    assert figure.axes[0].get_ylabel() == "principal component 2 (0% of the variance)"


def test_bars_are_sorted_and_keep_their_names() -> None:
    figure = kl_bars([0.1, 3.0, 1.0], active=2)
    ax = figure.axes[0]
    assert [bar.get_height() for bar in ax.patches if isinstance(bar, Rectangle)] == [3.0, 1.0, 0.1]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "3", "1"]
    assert "2 of 3" in ax.get_title()


def test_many_labels_are_coloured_along_a_bar_that_stays_in_the_picture() -> None:
    labels = torch.arange(400) % 40
    figure = latent_scatter(torch.randn(400, 2), labels)
    assert figure.axes[0].get_legend() is None
    (part,) = figure.axes[0].collections
    assert np.array_equal(np.asarray(part.get_array()), labels.numpy())
    to_array(figure)  # lays it out; warnings are errors
    bar = figure.axes[1]
    assert bar.get_ylabel() == "label"
    box = bar.get_tightbbox()
    assert box is not None
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.height


def test_images_without_labels_are_not_said_to_have_one() -> None:
    figure = latent_scatter(torch.randn(30, 2), torch.full((30,), -1))
    assert figure.axes[0].get_title() == "Codes E[z|x] of validation images"
    assert figure.axes[0].get_legend() is None
    assert len(points(figure)) == 30
    figure = latent_scatter(torch.randn(30, 2), torch.arange(30) % 3 - 1)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["none", "0", "1"]
    assert len(latent_scatter(torch.randn(60, 2), torch.arange(60) % 20 - 1).axes[0].collections) == 2


@pytest.mark.parametrize("dimensions", [21, 50, 64, 200])
def test_the_names_of_bars_do_not_touch(dimensions: int) -> None:
    figure = kl_bars(np.linspace(1, 0, dimensions).tolist(), active=0)
    to_array(figure)
    names = [name for name in figure.axes[0].get_xticklabels() if name.get_text()]
    order = [str(j + 1) for j in range(dimensions)]
    assert [name.get_text() for name in names] == [order[round(name.get_position()[0])] for name in names]
    assert len(names) >= 21
    edges = [(name.get_window_extent().x0, name.get_window_extent().x1) for name in names]
    assert all(right < left for (_, right), (left, _) in itertools.pairwise(edges))


def test_the_legend_names_the_classes() -> None:
    names = ["cat", "a very long name of a class, which is cut", "_5$"]
    figure = latent_scatter(torch.randn(30, 2), torch.arange(30) % 4 - 1, names=names)
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["none", "cat", "a very long name of a c…", r"5\$"]
    assert name_of(7, names) == "7"
