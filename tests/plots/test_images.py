from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from tests.linear_gaussian import Linear, random_images
from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.data.images import Batch, Images
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.plots import images as figures
from vae_lightning.plots import latents as code_charts
from vae_lightning.training.callbacks.figures import draw_pictures

SHAPE = (1, 3, 2)


@pytest.fixture
def vae() -> VAE:
    """Latent j moves pixel j up from ½ by a tenth."""
    vae = VAE(Linear(), Diagonal(2), StandardNormal(2), Gaussian(SHAPE))
    with torch.no_grad():
        vae.decoder[0].weight.copy_(0.1 * torch.eye(6)[:, :2])  # type: ignore[index]
        vae.decoder[0].bias.fill_(0.5)  # type: ignore[index]
    return vae


def canvas(figure: Figure) -> np.ndarray:
    """The grid of images that a figure shows."""
    return np.asarray(figure.axes[0].images[0].get_array())


def rendered(figure: Figure) -> np.ndarray:
    picture = figures.to_array(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert abs(picture.shape[0] - height) <= 1
    assert abs(picture.shape[1] - width) <= 1
    return picture


def test_tiles_lie_side_by_side_with_gaps_between() -> None:
    images = np.arange(4, dtype=np.float32).reshape(2, 2, 1, 1, 1) / 8 + np.zeros((2, 2, 1, 3, 2), np.float32)
    grid, tops = figures.tile(images, gap=1, gap_every=1)
    assert tops == [0, 4]
    assert grid.shape == (7, 5)
    assert (grid[:3, :2] == 0).all()
    assert (grid[:3, 3:] == 1 / 8).all()
    assert (grid[4:, 3:] == 3 / 8).all()
    assert (grid[3] == 1).all()
    assert (grid[:, 2] == 1).all()
    assert figures.tile(np.zeros((4, 2, 3, 3, 2), np.float32), gap=1, gap_every=2)[0].shape == (13, 5, 3)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_that_are_no_colours_stand_side_by_side_in_grey(channels: int) -> None:
    images = np.random.default_rng(0).random((2, 3, channels, 4, 6), dtype=np.float32)
    grid, _ = figures.tile(images, gap=1, gap_every=1)
    assert grid.shape == (2 * 4 + 1, 3 * 6 * channels + 2)
    for channel in range(channels):
        left = 6 * channels + 1 + 6 * channel
        assert np.array_equal(grid[5:, left : left + 6], images[1, 1, channel])
    shown = rendered(figures.grid_figure(torch.from_numpy(images), ""))
    assert (shown.max(-1) == shown.min(-1)).all()  # no channel is shown as a colour or as transparency


def test_each_pixel_of_a_grid_is_a_whole_number_of_the_figures_pixels() -> None:
    images = torch.zeros(1, 1, 1, 2, 2)
    images[..., 0, 0] = images[..., 1, 1] = 1
    picture = rendered(figures.grid_figure(images, "", gap=0))
    ax = figures.grid_figure(images, "", gap=0).axes[0]
    box = ax.get_position()
    top, left = round((1 - box.y1) * picture.shape[0]), round(box.x0 * picture.shape[1])
    inside = picture[top : top + 720, left : left + 720, 0]
    expected = np.kron(np.array([[255, 0], [0, 255]]), np.ones((360, 360)))
    assert (inside == expected).mean() > 0.99


def test_reconstructions_stand_under_their_originals(vae: VAE) -> None:
    x = random_images(7, SHAPE)
    grid = canvas(figures.reconstructions(vae, x, columns=3))
    assert grid.shape == (4 * 3 + 2, 3 * 4 - 2)  # two pairs of rows and one gap; the seventh image does not fill a row
    rebuilt = vae.reconstruct(x).clamp(0, 1)
    np.testing.assert_allclose(grid[0:3, 4:6], x[1, 0], rtol=1e-5)
    np.testing.assert_allclose(grid[3:6, 4:6], rebuilt[1, 0], rtol=1e-5)
    np.testing.assert_allclose(grid[8:11, 8:10], x[5, 0], rtol=1e-5)
    np.testing.assert_allclose(grid[11:14, 8:10], rebuilt[5, 0], rtol=1e-5)
    assert canvas(figures.reconstructions(vae, x[:2], columns=3)).shape == (6, 6)


def test_training_shows_reconstructions_of_images_from_all_over_the_split(vae: VAE) -> None:
    images = torch.arange(80, dtype=torch.uint8).view(80, 1, 1, 1).expand(80, *SHAPE)
    sums = SimpleNamespace(kl_per_dimension=lambda: [0.2, 0.1], metrics=lambda: {"active_units": 2})
    grid = canvas(draw_pictures(vae, Images(images, torch.zeros(80, dtype=torch.int64)), sums)["reconstructions"])  # type: ignore[arg-type]
    assert {round(float(value) * 255) for value in grid.ravel()} >= set(range(0, 80, 2))


def test_training_draws_each_code_in_the_colour_of_its_label_and_traversals_by_their_kl(
    vae: VAE, generator: torch.Generator
) -> None:
    images = torch.randint(0, 256, (9, *SHAPE), dtype=torch.uint8, generator=generator)
    labels = torch.tensor([0, 1, 2, 2, 1, 1, 1, 0, 2])
    sums = SimpleNamespace(kl_per_dimension=lambda: [0.1, 0.9], metrics=lambda: {"active_units": 2})
    drawn = draw_pictures(vae, Images(images, labels), sums)  # type: ignore[arg-type]
    codes = vae.encode(images / 255).mean.detach()
    for label, part in enumerate(drawn["latent_scatter"].axes[0].collections):
        np.testing.assert_allclose(np.asarray(part.get_offsets()), codes[labels == label], rtol=1e-4, atol=1e-6)
    assert [text.get_text() for text in drawn["traversals"].axes[0].texts] == ["z₂  0.9 nats", "z₁  0.1 nats"]


class Bounded(Diagonal):
    """A user's own posterior: a product over dimensions, but not over real numbers."""

    capabilities = Diagonal.capabilities - {REAL_SPACE}


def test_bars_of_codes_without_active_units_say_nothing_of_them(generator: torch.Generator) -> None:
    vae = VAE(Linear(), Bounded(2), StandardNormal(2), Gaussian(SHAPE))
    split = Images(torch.randint(0, 256, (9, *SHAPE), dtype=torch.uint8, generator=generator), torch.zeros(9, dtype=torch.int64))
    sums = evaluate_elbo(vae, [Batch(split.images, split.labels, torch.arange(9))], "val")
    assert "active_units" not in sums.metrics()
    drawn = draw_pictures(vae, split, sums)
    assert {"reconstructions", "samples", "latent_scatter", "kl_per_dimension"} <= set(drawn)
    assert not {"traversals", "manifold"} & set(drawn)
    assert "active" not in drawn["kl_per_dimension"].axes[0].get_title()


def test_samples_fill_the_grid_and_are_the_same_each_time(vae: VAE) -> None:
    grid = canvas(figures.samples(vae, rows=2, columns=3))
    assert grid.shape == (2 * 3 + 2, 3 * 4 - 2)
    assert np.array_equal(canvas(figures.samples(vae, rows=2, columns=3)), grid)
    assert not np.array_equal(canvas(figures.samples(vae, rows=2, columns=3, seed=1)), grid)


def test_traversals_move_one_dimension_a_row_most_informative_first(vae: VAE) -> None:
    x = random_images(1, SHAPE)[0]
    figure = figures.traversals(vae, x, kl=[0.5, 2.0], reach=2.0, columns=5)
    grid = canvas(figure)
    assert grid.shape == (2 * 3 + 2, 5 * 4 - 2)
    moved = 0.5 + 0.1 * np.linspace(-2, 2, 5)
    np.testing.assert_allclose(grid[0, 1::4], moved, rtol=1e-5)  # pixel 1 in the first row
    np.testing.assert_allclose(grid[5, 0::4], moved, rtol=1e-5)  # pixel 0 in the second
    code = vae.encode(x[None]).mean[0].detach()
    np.testing.assert_allclose(grid[0, 0::4], 0.5 + 0.1 * code[0].item(), rtol=1e-5)
    assert [text.get_text() for text in figure.axes[0].texts] == ["z₂  2.0 nats", "z₁  0.5 nats"]


def test_traversals_draw_only_the_most_informative(vae: VAE) -> None:
    x = random_images(1, SHAPE)[0]
    assert canvas(figures.traversals(vae, x, kl=[0.5, 2.0], columns=5, most=1)).shape == (3, 18)
    figure = figures.traversals(vae, x, kl=None, columns=5)
    assert [text.get_text() for text in figure.axes[0].texts] == ["z₁", "z₂"]


def test_interpolations_go_from_code_to_code(vae: VAE) -> None:
    start, end = random_images(2, SHAPE), random_images(2, SHAPE)
    grid = canvas(figures.interpolations(vae, start, end, columns=5))
    assert grid.shape == (2 * 3 + 2, 5 * 4 - 2)
    np.testing.assert_allclose(grid[:3, :2], vae.reconstruct(start)[0, 0].clamp(0, 1), rtol=1e-5)
    np.testing.assert_allclose(grid[5:, 16:], vae.reconstruct(end)[1, 0].clamp(0, 1), rtol=1e-5)
    np.testing.assert_allclose(grid[0, 8], (grid[0, 0] + grid[0, 16]) / 2, rtol=1e-5)


def test_the_manifold_is_the_plane_with_z1_to_the_right_and_z2_upwards(vae: VAE) -> None:
    grid = canvas(figures.manifold(vae, side=4))
    assert grid.shape == (4 * 3, 4 * 2)
    z1, z2 = (10 * (grid[0::3, pixel::2] - 0.5) for pixel in (0, 1))
    quantiles = stats.norm.ppf([1 / 8, 3 / 8, 5 / 8, 7 / 8])
    np.testing.assert_allclose(z1, np.tile(quantiles, (4, 1)), atol=1e-5)
    np.testing.assert_allclose(z2, np.tile(quantiles[::-1, None], (1, 4)), atol=1e-5)


def test_every_figure_renders_and_a_saved_one_is_read_back(vae: VAE, tmp_path: Path) -> None:
    x = random_images(4, SHAPE)
    drawn = [
        figures.reconstructions(vae, x, columns=2),
        code_charts.latent_scatter(torch.randn(20, 3), torch.arange(20)),
        code_charts.kl_bars([0.1] * 30, active=0),
    ]
    for figure in drawn:
        picture = rendered(figure)
        assert len(np.unique(picture)) > 2
    path = figures.save_png(picture, tmp_path / "figures" / "kl.png")
    assert np.array_equal(np.asarray(Image.open(path)), picture)
    assert [entry.name for entry in path.parent.iterdir()] == ["kl.png"]
