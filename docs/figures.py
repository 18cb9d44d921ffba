"""Draws the pictures of docs/how_it_works.md into docs/images/how/: `make docs-figures`, or `python docs/figures.py kl beta`.

Small models on the 5,000 digits that come along; all of them take a few minutes on a CPU.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch
from PIL import Image
from torch import Tensor

from vae_lightning.architectures import MLP
from vae_lightning.data.binarization import bernoulli_pixels, prepare
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.evaluation.elbo import SplitSums, evaluate_elbo, pixels
from vae_lightning.figures import tile
from vae_lightning.likelihoods import Bernoulli
from vae_lightning.objectives import Objective
from vae_lightning.objectives.kl import FreeBits
from vae_lightning.posteriors import Diagonal, PlainCode, Posterior
from vae_lightning.priors import StandardNormal
from vae_lightning.vae import VAE

FOLDER = Path(__file__).parent / "images" / "how"
INK, BLUE, ORANGE, GREEN = "#333333", "#1f6fb4", "#d1600a", "#2e8540"
mpl.rcParams.update({"text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK})
mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "axes.titlesize": 10.5})

# ---------------------------------------------------------------- what the pictures are made from


@cache
def walkthrough() -> dict[str, Any]:
    """The names of docs/walkthrough.py, run once: its trained two-dimensional VAE and test digits."""
    return runpy.run_path(str(Path(__file__).parent / "walkthrough.py"))


@cache
def digits() -> dict[str, Any]:
    """Splits whose validation and test images are binarised once, as in a run."""
    return prepare(MNIST5k().splits(), "dynamic", 0, training=True)


def train(
    posterior: Posterior,
    objective: Objective | None = None,
    beta: Callable[[float], float] = lambda time: 1.0,
    epochs: int = 30,
) -> VAE:
    """A VAE of the walk-through's size after so many epochs of Adam; β as a function of the share of the run that is over."""
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
    """A β that stays as it is."""
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


# ---------------------------------------------------------------- the pictures


def trick() -> Figure:
    """Two ways to draw the same z, and what each does to the way back."""
    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax, title in (
        (left, "drawn from N(μ, σ²): the way back ends at the dice"),
        (right, "z = μ + σ·ε: the dice stand outside"),
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
    figure.text(0.5, 0.02, "black: forward     blue: the gradient's way back", ha="center", fontsize=9)
    return figure


def _box(ax: Axes, x: float, y: float, text: str, colour: str) -> None:
    ax.text(x, y, text, ha="center", va="center", bbox={"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": INK})


def _arrows(ax: Axes, spans: list[tuple[float, float]], heights: list[float], colour: str) -> None:
    if spans[0][0] < spans[0][1] and len(spans) == 2:
        spans = [spans[0], (6.5, 8.1)]
    for (start, end), height in zip(spans, heights, strict=True):
        ax.add_patch(FancyArrowPatch((start, height), (end, height), arrowstyle="-|>", mutation_scale=12, color=colour))


def estimators() -> Figure:
    """How far gradient estimates from n draws spread."""
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
    ax.text(counts[-1], slope * 1.15, "size of the slope itself", ha="right", fontsize=9)
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.minorticks_off()
    ax.set(
        xlabel="draws averaged in one estimate",
        ylabel="standard deviation",
        title="Three estimates of the slope of E[log p(x|z)] along μ₁",
    )
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def posterior() -> Figure:
    """True posteriors of four digits by a grid, and the encoder's guesses."""
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
        "True posterior p(z|x) (blue) and the encoder's guess q(z|x) (orange, 1 and 2 standard deviations)", fontsize=10.5
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


def beta() -> Figure:
    """Rate and distortion over β, with reconstructions and samples."""
    betas = (1 / 16, 1 / 4, 1, 4, 16)
    vaes = {b: train(Diagonal(16), beta=always(b)) for b in betas}
    metrics = {b: test_sums(vae).metrics() for b, vae in vaes.items()}
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    panels = figure.subplot_mosaic([["curve", f"r{b}", f"s{b}"] for b in betas], width_ratios=(1.2, 1, 1))
    ax = panels["curve"]
    rates, distortions = [metrics[b]["kl"] for b in betas], [metrics[b]["reconstruction"] for b in betas]
    ax.plot(rates, distortions, "o-", color=BLUE)
    for b, rate, distortion in zip(betas, rates, distortions, strict=True):
        ax.annotate(f"β = {_fraction(b)}", (rate, distortion), xytext=(6, 5), textcoords="offset points")
    ax.set(xlabel="rate R = KL (nats)", ylabel="distortion D = reconstruction (nats)", title="Test digits, one point per β")
    ax.margins(x=0.22)
    x = pixels(digits()["test"].images[:6])
    z = torch.randn(6, 16, generator=torch.Generator().manual_seed(1))
    for b, vae in vaes.items():
        show(panels[f"r{b}"], strip(vae.reconstruct(x), 6), "reconstructions" if b == betas[0] else "")
        show(panels[f"s{b}"], strip(vae.decode(z).mean, 6), "samples, z ~ N(0, I)" if b == betas[0] else "")
        panels[f"r{b}"].text(-8, 14, f"β = {_fraction(b)}", ha="right", va="center", fontsize=9)
    return figure


def _fraction(b: float) -> str:
    return f"{b:g}" if b >= 1 else f"1/{1 / b:g}"


def autoencoder() -> Figure:
    """Codes and samples of a plain auto-encoder and of a VAE, both with two latents."""
    figure = Figure(figsize=(9.0, 5.6), layout="constrained")
    axes = figure.subplots(2, 3, width_ratios=(1.2, 0.65, 1.0))
    split, z = digits()["test"], torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    x = pixels(split.images)
    for row, (name, posterior) in zip(axes, (("Auto-encoder", PlainCode(2)), ("VAE", Diagonal(2))), strict=True):
        vae = train(posterior, epochs=40)
        codes = vae.encode(x).mean.numpy()
        for label in range(10):
            mine = (split.labels == label).numpy()
            row[0].plot(*codes[mine].T, ".", ms=4, color=f"C{label}", label=str(label))
        for radius in (1, 2):
            row[0].add_patch(Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, color=INK, lw=1))
        row[0].set_aspect("equal", adjustable="datalim")
        row[0].set(title=f"{name}: codes of test digits; circles: N(0, I)", xlabel="z₁", ylabel="z₂")
        pairs = torch.stack([x[:8], vae.reconstruct(x[:8])], 1).flatten(0, 1)
        show(row[1], strip(pairs, 2), "x and x̂")
        show(row[2], strip(vae.decode(z).mean, 10), "decoded from z ~ N(0, I)")
    axes[0, 0].legend(
        frameon=False, fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5), title="digit", title_fontsize=8
    )
    return figure


def collapse() -> Figure:
    """KL per latent dimension at β = 4: as it comes, with a warm-up, with free bits."""
    runs = {
        "β = 1": train(Diagonal(16)),
        "β = 4: more collapse": train(Diagonal(16), beta=always(4.0)),
        "β = 4 after a slow warm-up": train(Diagonal(16), beta=lambda time: 4 * min(1.0, time / 0.75)),
        "β = 4, 0.5 nats each are free": train(Diagonal(16), Objective(kl=FreeBits(0.5)), always(4.0)),
    }
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for ax, (title, vae) in zip(figure.subplots(1, 4, sharey=True), runs.items(), strict=True):
        sums = test_sums(vae)
        nats = np.sort(np.asarray(sums.kl_per_dimension()))[::-1]
        ax.bar(range(1, 17), nats, color=BLUE)
        words = title.replace(": ", ":\n").replace(" after", "\nafter").replace(", ", ",\n")
        ax.set(xlabel="dimension, sorted")
        ax.set_title(words, fontsize=9)
        ax.text(
            16.5,
            0.96,
            f"{sums.metrics()['active_units']} of 16 active",
            ha="right",
            va="top",
            transform=ax.get_xaxis_transform(),
            fontsize=9,
        )
    figure.axes[0].set_ylabel("KL (nats)")
    return figure


PICTURES = (trick, estimators, posterior, kl, beta, autoencoder, collapse)


def save(figure: Figure, path: Path) -> None:
    """A PNG of few colours: small files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main(names: list[str]) -> None:
    for picture in PICTURES:
        if not names or picture.__name__ in names:
            save(picture(), FOLDER / f"{picture.__name__}.png")
            sys.stderr.write(f"{picture.__name__}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
