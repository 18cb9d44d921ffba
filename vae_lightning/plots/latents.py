"""Charts of a VAE's codes: where they lie, and how many nats each latent dimension carries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from vae_lightning.plots.displayable import displayable

MAX_IN_LEGEND = 10  # more colours could not be told apart
MAX_NAME = 24  # characters of a class's name in a legend
MAX_BAR_NAMES = 50  # more would overlap
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


def latent_scatter(codes: Tensor, labels: Tensor, split: str = "val", names: Sequence[str] | None = None) -> Figure:
    """Plot the posterior means of images, or their first two principal components if there are more than two dimensions.

    Coloured by label: up to ten labels with a legend, more with a colour bar.

    Args:
        codes: posterior means, (N, latent_dim).
        labels: (N,); below 0 for an image without a label.
        split: the split the images are from, for the title.
        names: of labels 0, 1 …; None: the numbers are shown.
    """
    points = codes.double().cpu().numpy()
    axes: tuple[str, ...] = ("z₁", "z₂")
    if points.shape[1] == 1:
        points, axes = np.stack([points[:, 0], np.linspace(-1, 1, len(points))], 1), ("z₁", "index in the data set")
    elif points.shape[1] > 2:
        points, shares = _principal_components(points)
        axes = tuple(f"principal component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares))
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    ax = figure.add_subplot()
    by_label = _coloured(ax, points, labels.cpu().numpy(), names)
    title = f"Codes E[z|x] of {SPLIT_WORDS[split]} images" + (", by label" if by_label else "")
    ax.set(title=title, xlabel=axes[0], ylabel=axes[1])
    ax.set_aspect("equal", adjustable="datalim")
    _plain(ax)
    return figure


def _coloured(ax: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str] | None) -> bool:
    """Draw the points and the key to their colours; return whether any has a label."""
    unlabelled, classes = labels < 0, np.unique(labels[labels >= 0])
    style: dict[str, Any] = {"s": 9, "alpha": 0.75, "linewidths": 0}
    if unlabelled.any():
        ax.scatter(*points[unlabelled].T, color="0.6" if len(classes) else "C0", label="none", **style)
    if len(classes) > MAX_IN_LEGEND:
        drawn = ax.scatter(points[~unlabelled, 0], points[~unlabelled, 1], c=labels[~unlabelled], cmap="turbo", **style)
        bar = ax.get_figure().colorbar(drawn, ax=ax, label="label", shrink=0.6)  # type: ignore[union-attr]
        bar.locator = MaxNLocator(integer=True)
        return True
    for i, label in enumerate(classes):
        ax.scatter(*points[labels == label].T, color=f"C{i}", label=name_of(label, names), **style)
    if len(classes):
        ax.legend(title="label", markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return bool(len(classes))


def name_of(label: float, names: Sequence[str] | None, most: int = MAX_NAME) -> str:
    """Say what a label is called.

    Args:
        label: the class, counted from 0.
        names: of the classes; None if they have none.
        most: characters of a name that are kept.

    Returns:
        The name, or the number of a class without one.
    """
    if names is None or not 0 <= label < len(names):
        return f"{label:g}"
    name = names[int(label)]
    name = name if len(name) <= most else name[: most - 1] + "…"
    return name.replace("$", r"\$").lstrip("_") or f"{label:g}"  # matplotlib reads $ as mathematics and hides names with _


def kl_bars(kl: Sequence[float], active: int | None, grid: tuple[int, int] | None = None) -> Figure:
    """Nats of each latent dimension, or of each channel of a grid, highest first; with more than 50, only some are named.

    Args:
        kl: nats per image of each dimension.
        active: number of active dimensions or channels; None if undefined.
        grid: (h, w) of the codes, over whose sites the nats of a channel are summed; None for a vector.
    """
    unit, summed = "latent dimension", ""
    if grid is not None:
        kl = np.asarray(kl).reshape(-1, grid[0] * grid[1]).sum(1).tolist()
        unit, summed = "channel", f", summed over {grid[0]}×{grid[1]} sites"
    order = np.argsort(kl)[::-1]
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    ax = figure.add_subplot()
    ax.bar(range(len(kl)), np.asarray(kl)[order], color="C0")
    every = math.ceil(len(kl) / MAX_BAR_NAMES)
    names = [str(j + 1) for j in order[::every]]
    upright = len(kl) > 20
    ax.set_xticks(range(0, len(kl), every), names, fontsize=6 if upright else 9, rotation=90 if upright else 0)
    ax.set(
        xlabel=unit + (f" (one bar in {every} is named)" if every > 1 else ""),
        ylabel="KL (nats)",
        title=f"KL per {unit}{summed}" + ("" if active is None else f": {active} of {len(kl)} are active"),
    )
    _plain(ax)
    return figure


def kl_map(images: Tensor, kl: Tensor) -> Figure:
    """Draw each image, and below it the nats that each site of its grid of codes carries.

    Args:
        images: (N, C, H, W) in [0, 1].
        kl: nats of each site, (N, h, w).
    """
    columns, most = len(images), max(float(kl.max()), 1e-6)
    figure = Figure(figsize=(1 + 1.1 * columns, 2.9), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    shown = displayable(images.float().clamp(0, 1).cpu().numpy()[:, None])[:, 0]
    for i in range(columns):
        axes[0, i].imshow(shown[i].transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        drawn = axes[1, i].imshow(kl[i].cpu().numpy(), cmap="viridis", vmin=0, vmax=most, interpolation="nearest")
        axes[1, i].set_xlabel(f"{float(kl[i].sum()):.1f} nats", fontsize=8)
        for ax in axes[:, i]:
            ax.set(xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes[1].tolist(), label="KL of a site (nats)", shrink=0.9)
    figure.suptitle("Images, and the KL of each site of their codes", fontsize=10)
    return figure


def _principal_components(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two components (N, 2) and their shares of the variance, with fixed signs so that pictures do not flip."""
    centred = points - points.mean(0)
    if len(points) == 1:  # a single point varies in no direction
        return centred[:, :2], np.zeros(2)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    shares = singular**2 / max((singular**2).sum(), 1e-300)
    return centred @ (directions * np.sign(largest)).T, shares[:2]


def _plain(ax: object) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)  # type: ignore[attr-defined]
