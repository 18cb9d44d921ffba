"""Shared by the figures: small models on the 5,000 bundled digits, and drawing helpers."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from vae_lightning.data.binarization import bernoulli_pixels, prepare_splits
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.evaluation.elbo import SplitSums, evaluate_elbo
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.objectives import Objective
from vae_lightning.plots.images import tile

INK, BLUE, ORANGE, GREEN = "#333333", "#1f6fb4", "#d1600a", "#2e8540"
mpl.rcParams.update({"text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK})
mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "axes.titlesize": 10.5})


@cache
def walkthrough() -> dict[str, Any]:
    """The variables of docs/walkthrough.py after one run: its trained two-dimensional VAE and the test digits."""
    return runpy.run_path(str(Path(__file__).parents[1] / "walkthrough.py"))


@cache
def digits() -> dict[str, Any]:
    """Splits with fixed binarised validation and test images, as in a run."""
    return prepare_splits(MNIST5k().splits(), "dynamic", 0, training=True)


def train(
    posterior: Posterior,
    objective: Objective | None = None,
    beta: Callable[[float], float] = lambda time: 1.0,
    epochs: int = 30,
) -> VAE:
    """A VAE of the walk-through's size, trained with Adam; β is a function of the completed fraction of the run."""
    torch.manual_seed(0)
    vae = VAE(MLP(hidden=(256, 128)), posterior, StandardNormal(posterior.latent_dim), Bernoulli((1, 28, 28)))
    generator, images = torch.Generator().manual_seed(0), digits()["train"].images
    optimizer, objective = torch.optim.Adam(vae.parameters(), lr=2e-3), objective or Objective()
    steps = [places for _ in range(epochs) for places in torch.randperm(len(images), generator=generator).split(64)]
    for step, places in enumerate(steps):
        losses = objective(vae, bernoulli_pixels(images[places], generator), beta(step / len(steps)))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    return vae.eval().requires_grad_(False)


def always(value: float) -> Callable[[float], float]:
    """A constant β."""
    return lambda time: value


def test_sums(vae: VAE) -> SplitSums:
    """ELBO terms and KL per dimension on the test split."""
    split = digits()["test"]
    return evaluate_elbo(vae, [split[places] for places in torch.arange(len(split)).split(500)], "test")


def strip(images: Tensor, columns: int) -> np.ndarray:
    """Images (N, 1, 28, 28) in rows of `columns`, in [0, 1]."""
    return tile(images.view(-1, columns, 1, 28, 28).numpy(), 2, 1)[0]


def show(ax: Axes, canvas: np.ndarray, title: str = "") -> None:
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title)
