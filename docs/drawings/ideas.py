"""Figures of one training step: the reparameterisation trick, its gradients, a posterior, the KL."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch
from torch import Tensor

from drawings.common import BLUE, GREEN, INK, ORANGE, walkthrough
from vae_lightning.models.vae import VAE


def trick() -> Figure:
    """Two ways to sample z, and the backward path of each."""
    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax, title in (
        (left, "z ~ N(μ, σ²): the gradient stops at sampling"),
        (right, "z = μ + σ·ε: the randomness is an input"),
    ):
        ax.set(xlim=(0, 10), ylim=(0.6, 5.9), title=title)
        ax.set_axis_off()
        _box(ax, 1.2, 3.0, "μ, σ", "#eeeeee")
        _box(ax, 8.8, 3.0, "f(z)", "#eeeeee")
    _box(left, 5.0, 3.0, "z ~ N(μ, σ²)", "#fbe3d0")
    _arrows(left, [(2.0, 3.5), (7.9, 2.1)], [3.4, 3.4], INK)
    _arrows(left, [(7.9, 6.8)], [2.5], BLUE)
    left.text(2.75, 2.35, "?", color=ORANGE, fontsize=20, ha="center", va="center")
    left.text(5.0, 1.5, "no derivative ∂z/∂μ", color=ORANGE, ha="center")
    _box(right, 5.0, 3.0, "z = μ + σ·ε", "#dcebf7")
    _box(right, 5.0, 5.2, "ε ~ N(0, I)", "#fbe3d0")
    right.add_patch(FancyArrowPatch((5, 4.8), (5, 3.55), arrowstyle="-|>", mutation_scale=12, color=INK))
    _arrows(right, [(2.0, 3.5), (7.9, 2.1)], [3.4, 3.4], INK)
    _arrows(right, [(7.9, 6.5), (3.5, 2.0)], [2.5, 2.5], BLUE)
    right.text(5.0, 1.5, "∂z/∂μ = 1,  ∂z/∂σ = ε", color=BLUE, ha="center")
    figure.text(0.5, 0.02, "black: forward pass     blue: backward pass", ha="center", fontsize=9)
    return figure


def _box(ax: Axes, x: float, y: float, text: str, colour: str) -> None:
    ax.text(x, y, text, ha="center", va="center", bbox={"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": INK})


def _arrows(ax: Axes, spans: list[tuple[float, float]], heights: list[float], colour: str) -> None:
    if spans[0][0] < spans[0][1] and len(spans) == 2:
        spans = [spans[0], (6.5, 8.1)]
    for (start, end), height in zip(spans, heights, strict=True):
        ax.add_patch(FancyArrowPatch((start, height), (end, height), arrowstyle="-|>", mutation_scale=12, color=colour))


def estimators() -> Figure:
    """The standard deviation of gradient estimates from n samples."""
    names = walkthrough()
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    ax = figure.add_subplot()
    counts = (1, 3, 10, 30, 100, 300)
    kinds = (
        ("score", "score function", ORANGE),
        ("centred", "score function with a baseline", GREEN),
        ("path", "reparameterised", BLUE),
    )
    for key, label, colour in kinds:
        draws = names[key][:, 0].detach()
        spread = [draws[: len(draws) // n * n].view(-1, n).mean(1).std() for n in counts]
        ax.loglog(counts, spread, "o-", color=colour, label=label)
    slope = abs(float(names["path"][:, 0].mean()))
    ax.axhline(slope, color=INK, lw=0.8, ls="--")
    ax.text(counts[-1], slope * 1.15, "magnitude of the gradient", ha="right", fontsize=9)
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.minorticks_off()
    ax.set(
        xlabel="samples averaged in one estimate",
        ylabel="standard deviation",
        title="Three estimates of the gradient of E[log p(x|z)] with respect to μ₁",
    )
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def posterior() -> Figure:
    """True posteriors of four digits on a grid, and the encoder's approximations."""
    names = walkthrough()
    vae, images = names["vae"], names["test"][[0, 3, 11, 20]]
    figure = Figure(figsize=(8.2, 2.9), layout="constrained")
    for ax, x in zip(figure.subplots(1, 4), images, strict=True):
        with torch.no_grad():
            q = vae.encode(x[None])
            grid, log_joint = _window(vae, x[None], q.mean[0], q.stddev[0])
        weights = (log_joint - log_joint.max()).exp().numpy()
        (x0, x1), (y0, y1) = grid
        ax.imshow(weights.T, origin="lower", extent=(x0, x1, y0, y1), cmap="Blues", aspect="auto")
        for k in (1, 2):
            sizes = 2 * k * q.stddev[0]
            ax.add_patch(Ellipse(tuple(q.mean[0].tolist()), *sizes.tolist(), fill=False, color=ORANGE, lw=1.4))
        ax.set(xlabel="z₁")
        inset = ax.inset_axes((0.02, 0.7, 0.28, 0.28))
        inset.imshow(1 - x[0].numpy(), cmap="gray")
        inset.set(xticks=[], yticks=[])
    figure.axes[0].set_ylabel("z₂")
    figure.suptitle(
        "True posterior p(z|x) (blue) and approximate posterior q(z|x) (orange, 1 and 2 standard deviations)", fontsize=10.5
    )
    return figure


def _window(vae: VAE, x: Tensor, mean: Tensor, sigma: Tensor, side: int = 120) -> tuple[list[tuple[float, float]], Tensor]:
    """log p(x, z) on a grid of ±6σ around q's mean, at least ±0.5: the ranges and (side, side)."""
    reach = (6 * sigma).clamp_min(0.5)
    ranges = [(float(mean[j] - reach[j]), float(mean[j] + reach[j])) for j in range(2)]
    z = torch.cartesian_prod(*(torch.linspace(*r, side) for r in ranges))
    log_joint = vae.decode(z).log_prob(x) + vae.prior().log_prob(z)
    return ranges, log_joint.view(side, side)


def kl() -> Figure:
    """The terms of KL(N(μ, σ²) ‖ N(0, 1))."""
    figure = Figure(figsize=(8.2, 3.0), layout="constrained")
    over_mean, over_sigma = figure.subplots(1, 2, sharey=True)
    mean, sigma = np.linspace(-3, 3, 200), np.linspace(0.02, 2.5, 400)
    over_mean.plot(mean, mean**2 / 2, color=BLUE)
    over_mean.set(xlabel="μ  (at σ = 1)", ylabel="nats", title="μ²/2", ylim=(-1.2, 4.5))
    over_sigma.plot(sigma, -np.log(sigma), color=ORANGE, ls="--", label="−log σ")
    over_sigma.plot(sigma, (sigma**2 - 1) / 2, color=GREEN, ls=":", label="(σ² − 1)/2")
    over_sigma.plot(sigma, (sigma**2 - 1) / 2 - np.log(sigma), color=BLUE, label="their sum")
    over_sigma.set(xlabel="σ  (at μ = 0)", title="(σ² − 1)/2 − log σ")
    over_sigma.legend(frameon=False)
    for ax in (over_mean, over_sigma):
        ax.axhline(0, color=INK, lw=0.6)
    return figure
