"""Pictures of a VAE made of images, or of lines for signals: reconstructions, samples, traversals, interpolations, the plane.

Each function takes a VAE and returns a matplotlib figure. As is usual, the decoder's mean E[x|z] is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vae_lightning.capabilities import DENSITY
from vae_lightning.files import atomic_write
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise, derive_seed
from vae_lightning.plots.displayable import displayable
from vae_lightning.plots.latents import name_of
from vae_lightning.plots.lines import lines_figure

INK = "#333333"
MAX_ROWS = 32


def reconstructions(vae: VAE, x: Tensor, columns: int = 10, c: Tensor | None = None) -> Figure:
    """Draw originals x, each with its reconstruction from the posterior mean below it.

    Args:
        vae: the model.
        x: images, (batch, C, H, W) in [0, 1].
        columns: images per row.
        c: labels, (batch,), of a conditional VAE.
    """
    x = x[: len(x) // columns * columns] if len(x) >= columns else x
    columns, c = min(columns, len(x)), None if c is None else c[: len(x)]
    pairs = torch.stack([x.view(-1, columns, *x.shape[1:]), vae.reconstruct(x, c).view(-1, columns, *x.shape[1:])], 1)
    rows = pairs.flatten(0, 1)
    labels = ["x", "x̂"] * (len(rows) // 2)
    return grid_figure(rows, "Originals x and reconstructions x̂", row_labels=labels, gap_every=2)


def samples(
    vae: VAE,
    rows: int | None = None,
    columns: int = 12,
    seed: int = 0,
    label: int | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Decode samples: E[x|z] for z ~ p(z), p(z|c) in a conditional VAE, or from `vae.sampler`; the same z for the same seed.

    Args:
        vae: the model.
        rows: None for 8, or for a conditional VAE one for each class, up to 32.
        columns: images per row.
        seed: seed of z.
        label: the class of all images; None for a row of each class in turn.
        names: of the classes, if they have any.
    """
    classes = vae.condition.classes
    rows = rows or (min(classes, MAX_ROWS) if classes and label is None else 8)
    of_rows = [row % classes if label is None else label for row in range(rows)] if classes else []
    c = torch.tensor(of_rows).repeat_interleave(columns) if classes else None
    images = vae.sample(rows * columns, StreamNoise(torch.Generator(_device(vae)), derive_seed(seed, "samples")), c)
    grid = images.view(rows, columns, *images.shape[1:])
    labels = [name_of(label, names, 12) if names else f"c = {label}" for label in of_rows]
    return grid_figure(grid, samples_title(vae), row_labels=labels)


def samples_title(vae: VAE) -> str:
    """Say what samples of the VAE are drawn from."""
    each = " of each class c" if vae.condition.classes else ""
    if vae.sampler is not None:
        return f"Samples, z from a density fitted to the codes{each} ({vae.sampler.option})"
    if DENSITY not in vae.posterior.capabilities:
        return "Decoded z ~ p(z), which an auto-encoder's codes need not follow"
    return f"Samples from the prior{each}, z ~ p(z{'|c' if each else ''})"


@torch.no_grad()
def traversals(
    vae: VAE,
    x: Tensor,
    kl: Sequence[float] | None,
    reach: float = 3.0,
    columns: int = 11,
    most: int = MAX_ROWS,
    c: Tensor | None = None,
) -> Figure:
    """Draw a row for each latent dimension, moved from −reach to reach; the others stay at the code of one image.

    On a grid of codes, a row moves one channel at one site. Without KL to sort them by, that is each channel at the central site.
    In a hierarchy the top layer is moved, and the layers below follow at their means.

    Args:
        vae: the model.
        x: the image, (C, H, W).
        kl: nats of each dimension, to sort by; None for the order of dimensions.
        reach: how far to move.
        columns: steps per row.
        most: the largest number of rows; those with the highest KL are drawn.
        c: the image's label, (1,).
    """
    prior = vae.latent_prior
    code = vae.encode(x.unsqueeze(0), c).mean[..., -prior.top_dim :]
    order = np.argsort(kl)[::-1][:most].tolist() if kl is not None else _unsorted(vae)[:most]
    values = torch.linspace(-reach, reach, columns, device=x.device)
    z = code.repeat(len(order), columns, 1)
    for row, dimension in enumerate(order):
        z[row, :, dimension] = values
    labels = [_dimension(vae, j) + (f"  {kl[j]:.1f} nats" if kl is not None else "") for j in order]
    moved = "latent dimension" if vae.posterior.grid is None else "channel at one site (row, column)"
    title = f"Traversals: one {moved}{_of_layer(vae)} from {-reach:g} to {reach:g}"
    return grid_figure(vae.decode(prior.with_lower_layers(z), c).mean, title, row_labels=labels)


@torch.no_grad()
def interpolations(
    vae: VAE, start: Tensor, end: Tensor, columns: int = 11, c_start: Tensor | None = None, c_end: Tensor | None = None
) -> Figure:
    """Decode straight lines in latent space, each from the code of an image of `start` to that of its partner in `end`.

    In a conditional VAE each row is decoded with the label of its first image throughout.

    Args:
        vae: the model.
        start: first images, (rows, C, H, W) in [0, 1].
        end: last images, of the same shape.
        columns: images per row.
        c_start: labels of the first images, (rows,).
        c_end: labels of the last images, (rows,).
    """
    a, b = vae.encode(start, c_start).mean, vae.encode(end, c_end).mean
    weights = torch.linspace(0, 1, columns, device=a.device).view(1, columns, 1)
    c = None if c_start is None else c_start.unsqueeze(1)
    title = "Interpolations between two images" + (", with the label c of the first" if vae.condition.classes else "")
    return grid_figure(vae.decode(a.unsqueeze(1).lerp(b.unsqueeze(1), weights), c).mean, title)


@torch.no_grad()
def manifold(vae: VAE, side: int = 20, label: int | None = None) -> Figure:
    """Decode the plane of a two-dimensional latent space at the quantiles of N(0, 1) (Kingma and Welling 2014, figure 4).

    In a conditional VAE it is the plane of class `label`, or of the first class; in a hierarchy, that of the top layer.

    Args:
        vae: the model.
        side: images in a row and in a column.
        label: the class; None for the first.
    """
    quantiles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    axis = (math.sqrt(2) * torch.erfinv(2 * quantiles - 1)).float().to(_device(vae))
    z = torch.stack(torch.meshgrid(axis, axis.flip(0), indexing="xy"), -1)
    c, title = None, f"The decoded plane{_of_layer(vae)}, at the quantiles of N(0, 1)"
    if vae.condition.classes:
        c = vae.condition.labels_for(torch.tensor([label or 0]), 1, z.device)
        title = f"The decoded plane{_of_layer(vae)} with c = {label or 0}, at the quantiles of N(0, 1)"
    z = vae.latent_prior.with_lower_layers(vae.condition.shift_latents(z, c))
    return grid_figure(vae.decode(z, c).mean, title, gap=0)


def grid_figure(images: Tensor, title: str, row_labels: Sequence[str] = (), gap: int = 2, gap_every: int = 1) -> Figure:
    """Draw a grid of images; each of their pixels covers a whole number of the figure's pixels.

    Rows of numbers, of shape (rows, columns, 1, 1, D), are drawn as lines.

    Args:
        images: (rows, columns, C, H, W) in [0, 1].
        title: the title.
        row_labels: labels of the rows, from the top.
        gap: pixels of the images between columns, and between groups of rows.
        gap_every: rows in a group.
    """
    if tuple(images.shape[2:4]) == (1, 1):
        return lines_figure(images.flatten(2).float().cpu().numpy(), title, row_labels)
    canvas, tops = tile(images.float().clamp(0, 1).cpu().numpy(), gap, gap_every)
    height, width = canvas.shape[:2]
    zoom, dpi = max(1, round(720 / width)), 100
    longest = max(map(len, row_labels), default=0)
    left, top = (max(0.95, 0.075 * longest) if row_labels else 0.1) * dpi, 0.38 * dpi
    size = (width * zoom + left + 10, height * zoom + top + 10)
    figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi)
    ax = figure.add_axes((left / size[0], 10 / size[1], width * zoom / size[0], height * zoom / size[1]))
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    figure.text(left / size[0], 1 - 0.5 * top / size[1], title, va="center", fontsize=10, color=INK)
    for label, y in zip(row_labels, tops, strict=False):
        ax.text(-8 / zoom, y + images.shape[-2] / 2, label, ha="right", va="center", fontsize=9, color=INK)
    return figure


def tile(images: np.ndarray, gap: int, gap_every: int) -> tuple[np.ndarray, list[int]]:
    """Place images (rows, columns, C, H, W) side by side on white, with a `gap` between columns and every `gap_every` rows.

    See `displayable` for images with other numbers of channels than 1 and 3.

    Args:
        images: (rows, columns, C, H, W) in [0, 1].
        gap: pixels between columns, and after every `gap_every` rows.
        gap_every: rows without a gap between them.

    Returns:
        The canvas, (height, width) or (height, width, 3) for RGB images, and the pixel at which each row starts.
    """
    images = displayable(images)
    rows, columns, channels, height, width = images.shape
    tops = [r * height + gap * (r // gap_every) for r in range(rows)]
    canvas = np.ones((tops[-1] + height, columns * (width + gap) - gap, channels), dtype=np.float32)
    for r in range(rows):
        for c in range(columns):
            left = c * (width + gap)
            canvas[tops[r] : tops[r] + height, left : left + width] = images[r, c].transpose(1, 2, 0)
    return (canvas[..., 0] if channels == 1 else canvas), tops


def to_array(figure: Figure) -> np.ndarray:
    """Return the figure's pixels, uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save_png(picture: np.ndarray, path: Path) -> Path:
    """Write a PNG atomically; never through a symbolic link that someone put there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, format="png")
    return path


def _unsorted(vae: VAE) -> list[int]:
    """Return all latent dimensions in order; on a grid, those of the central site, one for each channel."""
    if vae.posterior.grid is None:
        return list(range(vae.latent_prior.top_dim))
    height, width = vae.posterior.grid
    centre = height // 2 * width + width // 2
    return list(range(centre, vae.latent_dim, height * width))


def _dimension(vae: VAE, index: int) -> str:
    """Return the name of a latent dimension; on a grid, that of its channel with its site (row, column), counted from 1."""
    if vae.posterior.grid is None:
        return f"z{_subscript(index)}"
    channel, site = divmod(index, vae.posterior.grid[0] * vae.posterior.grid[1])
    row, column = divmod(site, vae.posterior.grid[1])
    return f"z{_subscript(channel)}({row + 1},{column + 1})"


def _subscript(index: int) -> str:
    """Return the dimension's number as a subscript, counted from 1 as in the bars."""
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(index + 1))


def _of_layer(vae: VAE) -> str:
    return "" if vae.latent_prior.top_dim == vae.latent_dim else " of the top layer"


def _device(vae: VAE) -> torch.device:
    return next(vae.parameters()).device
