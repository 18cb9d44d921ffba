"""The figures of docs/variants.md, drawn from the metrics and runs that docs/variants.py passes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from drawings.common import BLUE, GREEN, INK, ORANGE, show, strip
from figures import save
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_lightning import load
from vae_lightning.noise import StreamNoise

FOLDER = Path(__file__).parent / "images" / "variants"
Figures = Mapping[str, Mapping[str, Sequence[float]]]
Folder = Callable[[str, int], Any]  # (setting, seed) → the folder of that run


def draw(name: str, figures: Figures, folder: Folder) -> None:
    save(PICTURES[name](figures, folder), FOLDER / f"{name}.png")


def collapse(figures: Figures, folder: Folder) -> Figure:
    """KL of each latent dimension."""
    titles = {
        "constant": "β = 4 from the start",
        "linear": "β = 4 after a warm-up",
        "cyclical": "β = 4 in cycles",
        "free_bits": "β = 4, 0.25 nats each free",
    }
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for ax, (setting, title) in zip(figure.subplots(1, 4, sharey=True), titles.items(), strict=True):
        results = json.loads((folder(setting, 0) / "results.json").read_text(encoding="utf-8"))["test_last"]
        nats = sorted(results["kl_per_dimension"], reverse=True)
        ax.bar(range(1, len(nats) + 1), nats, color=BLUE)
        ax.set(xlabel="dimension, sorted")
        ax.set_title(title, fontsize=9.5)
        ax.axhline(0.25, color=ORANGE, lw=0.8, ls="--")
        ax.text(0.97, 0.95, f"KL {results['kl']:.1f} nats", ha="right", va="top", transform=ax.transAxes, fontsize=9)
    figure.axes[0].set_ylabel("KL (nats)")
    return figure


def history(folder: Path, name: str) -> tuple[list[float], list[float]]:
    """Steps and one training metric, from metrics.csv."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "train_step"]
    return [int(row["step"]) for row in rows], [float(row[name]) for row in rows]


def target(figures: Figures, folder: Folder) -> Figure:
    """KL under control and reconstruction under geco, and β in both, over training."""
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    (kl, error), betas = figure.subplots(2, 2, sharex=True, height_ratios=(1.6, 1))
    kinds = (
        ("control", "kl", "KL (nats)", (5, 15, 25), (0, 40), kl, betas[0]),
        ("geco", "reconstruction", "reconstruction (nats)", (120, 100, 80), (60, 180), error, betas[1]),
    )
    for kind, name, label, targets, limits, ax, below in kinds:
        for number, colour in zip(targets, (BLUE, ORANGE, GREEN), strict=True):
            run = folder(f"{kind}_{number}", 0)
            ax.plot(*history(run, name), color=colour, lw=1.1)
            ax.axhline(number, color=colour, lw=0.8, ls="--")
            below.plot(*history(run, "beta"), color=colour, lw=1.1)
        ax.set(title=f"beta_schedule={kind}; dashed: the target", ylabel=label, ylim=limits)
        below.set(xlabel="step", ylabel="β", yscale="log", ylim=(0.008, 20))
    return figure


def sigma(figures: Figures, folder: Folder) -> Figure:
    """Reconstructions and samples of each."""
    titles = {
        "fixed_1": "σ = 1, β = 1",
        "fixed_0.1": "σ = 1, β = 0.1",
        "fixed_0.01": "σ = 1, β = 0.01",
        "optimal": "σ-VAE, β = 1",
    }
    figure = Figure(figsize=(9.0, 3.9), layout="constrained")
    for column, (setting, title) in zip(figure.subplots(2, 4).T, titles.items(), strict=True):
        vae = load(folder(setting, 0))
        z = torch.randn(48, vae.latent_dim, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            images = vae.decode(z).mean.clamp(0, 1)
        show(column[0], strip(images, 8), f"{title}\nFréchet distance {fmean(figures[setting]['frechet_distance']):.1f}")
        _per_dimension(column[1], folder(setting, 0))
    figure.axes[4].set_ylabel("KL (nats)")
    return figure


def _per_dimension(ax: Axes, folder: Path) -> None:
    nats = json.loads((folder / "results.json").read_text(encoding="utf-8"))["test_last"]["kl_per_dimension"]
    ax.bar(range(1, len(nats) + 1), sorted(nats, reverse=True), color=BLUE)
    ax.set(xlabel="dimension, sorted", ylim=(0, 3.5))


def vamp(figures: Figures, folder: Folder) -> Figure:
    """Samples from both priors, and the pseudo-inputs of the VampPrior."""
    figure = Figure(figsize=(9.0, 3.1), layout="constrained")
    axes = figure.subplots(1, 3)
    titles = {"standard_normal": "samples, prior N(0, I)", "vamp": "samples, VampPrior"}
    for ax, (setting, title) in zip(axes, titles.items(), strict=False):
        vae = load(folder(setting, 0))
        torch.manual_seed(0)
        show(ax, strip(vae.sample(80), 10), f"{title}\nNLL {fmean(figures[setting]['nll']):.2f} nats")
    inputs: Any = vae.latent_prior.pseudo_inputs
    show(axes[2], strip(inputs.detach()[:80], 10), "80 of its pseudo-inputs,\nwhich began as noise")
    return figure


def tc(figures: Figures, folder: Folder) -> Figure:
    """Total correlation and mutual information, one point for each run."""
    figure = Figure(figsize=(8.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    kinds = {"elbo": ("β-VAE", BLUE), "beta_tc": ("β-TC-VAE", ORANGE)}
    for setting, runs in figures.items():
        kind, _, number = setting.rpartition("_")
        label, colour = kinds[kind]
        correlation, information = runs["total_correlation"], runs["mutual_information"]
        known = label in left.get_legend_handles_labels()[1]
        left.plot([float(number)] * len(correlation), correlation, "o", color=colour, label="" if known else label)
        right.plot(information, correlation, "o", color=colour)
        for point in zip(information, correlation, strict=True):
            right.annotate(number, point, xytext=(5, 3), textcoords="offset points", fontsize=8, color=INK)
    left.set(xlabel="β", ylabel="total correlation (nats)", title="at equal β")
    left.legend(frameon=False)
    right.set(xlabel="mutual information (nats)", title="beside what codes say of images (numbers: β)")
    return figure


def samplers(figures: Figures, folder: Folder) -> Figure:
    """Samples of each model, from its prior and from what was fitted to its codes."""
    titles = {
        "ae_prior": "auto-encoder, prior",
        "rae_prior": "regularised, prior",
        "vae_prior": "VAE, prior",
        "ae_gmm": "auto-encoder, mixture",
        "rae_gmm": "regularised, mixture",
        "vae_two_stage": "VAE, two stages",
    }
    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    for ax, (setting, title) in zip(figure.subplots(2, 3).flat, titles.items(), strict=True):
        vae = load(folder(setting, 0))
        images = vae.sample(40, StreamNoise(torch.Generator(), 0)).clamp(0, 1)
        show(ax, strip(images, 10), f"{title}\nFréchet distance {fmean(figures[setting]['frechet_distance']):.0f}")
    return figure


PICTURES: dict[str, Callable[[Figures, Folder], Figure]] = {
    "collapse": collapse, "target": target, "sigma": sigma, "vamp": vamp, "tc": tc, "samplers": samplers,
}  # fmt: skip
