"""Figures that compare trained models: for several β, with and without noise, with and without posterior collapse."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from drawings.common import BLUE, INK, always, digits, show, strip, test_sums, train
from vae_lightning.data.images import pixels
from vae_lightning.models.posteriors import Diagonal, PointMass
from vae_lightning.objectives import Objective
from vae_lightning.objectives.kl import FreeBitsKL


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
    ax.margins(x=0.22, y=0.1)
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
    for row, (name, posterior) in zip(axes, (("Auto-encoder", PointMass(2)), ("VAE", Diagonal(2))), strict=True):
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
    """KL per latent dimension at β = 4: constant, with a warm-up, with free bits."""
    runs = {
        "β = 1": train(Diagonal(16)),
        "β = 4: more collapse": train(Diagonal(16), beta=always(4.0)),
        "β = 4 after a slow warm-up": train(Diagonal(16), beta=lambda time: 4 * min(1.0, time / 0.75)),
        "β = 4, 0.5 nats each are free": train(Diagonal(16), Objective(kl=FreeBitsKL(0.5)), always(4.0)),
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
