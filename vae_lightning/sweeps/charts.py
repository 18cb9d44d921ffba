"""The drawings of a sweep's page. Each function gives SVG, or None where there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from vae_lightning.sweeps.gather import SEED, RunRow
from vae_lightning.sweeps.summary import Group, Ranking, groups_of, show
from vae_lightning.sweeps.svg import GRID, INK, MUTED, SERIES, drawing, log_axis, new_figure, spaced, to_svg

UNITS = {"elbo": "nats", "reconstruction": "nats", "kl": "nats", "nll": "nats", "bound": "nats", "loss": "nats"}
MAP_ROWS = 40


def axis_name(metric: str) -> str:
    return f"{metric} ({UNITS[metric]})" if metric in UNITS else metric


def learning_curves(groups: Sequence[Group], kind: str, metric: str) -> str | None:
    """The mean over seeds of a figure by epoch, with a band of one standard deviation; the best groups in colour."""
    curves = [_mean_curve(group.runs, kind, metric) for group in groups]
    if not any(len(epochs) > 1 for epochs, _, _ in curves):
        return None
    with drawing():
        figure = new_figure()
        ax = figure.add_subplot()
        for i, (epochs, mean, deviation) in reversed(list(enumerate(curves))):
            if len(epochs) == 0:
                continue
            colour = SERIES[i] if i < len(SERIES) else MUTED
            ax.plot(epochs, mean, color=colour, linewidth=1.6 if i < len(SERIES) else 0.6, alpha=1.0 if i < len(SERIES) else 0.5)
            if i < len(SERIES):
                ax.fill_between(epochs, mean - deviation, mean + deviation, color=colour, alpha=0.16, linewidth=0)
        _trim(ax, [mean for _, mean, _ in curves])
        ax.set(xlabel="epoch", ylabel=axis_name(metric), title=f"{'validation' if kind == 'val' else 'training'} {metric}")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return to_svg(figure, f"{metric} by epoch")


def _mean_curve(runs: Sequence[RunRow], kind: str, metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(epochs, mean, standard deviation) over the epochs that any of the runs has."""
    by_epoch: dict[int, list[float]] = {}
    for run in runs:
        for epoch, value in run.curve(kind, metric):
            if math.isfinite(value):
                by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    deviation = [np.std(by_epoch[e], ddof=1) if len(by_epoch[e]) > 1 else 0.0 for e in epochs]
    return np.array(epochs), np.array([np.mean(by_epoch[e]) for e in epochs]), np.array(deviation)


def _trim(ax: Any, curves: Sequence[np.ndarray]) -> None:
    """The first epochs, far from where the runs end, would flatten all that matters: the axis leaves them out."""
    later = np.concatenate([curve[len(curve) // 4 :] for curve in curves if len(curve)])
    whole = np.concatenate([curve for curve in curves if len(curve)])
    low, high = later.min(), later.max()
    margin = 0.06 * (high - low) or 1.0
    if whole.max() - whole.min() > 1.5 * (high - low):
        ax.set_ylim(max(whole.min(), low) - margin, min(whole.max(), high) + margin)


def rate_distortion(ranking: Ranking, keys: Sequence[str], beta: str = "beta") -> str | None:
    """Each run in the plane of rate (KL) and distortion (−log p(x|z)), and the curve of the means along β.

    ELBO = −(rate + distortion): the thin lines are of equal ELBO (Alemi et al. 2018, figure 1).
    """
    runs = [run for group in ranking.groups for run in group.runs if {"kl", "reconstruction"} <= set(run.figures[ranking.split])]
    if len(runs) < 2:
        return None
    others = [key for key in keys if key != beta]
    families = groups_of(runs, others, ranking.split)
    with drawing():
        figure = new_figure(5.2, 3.9)
        ax = figure.add_subplot()
        for i, family in enumerate(families):
            colour = SERIES[i] if i < len(SERIES) else MUTED
            points = np.array([_plane(run, ranking.split) for run in family.runs])
            ax.plot(*points.T, "o", color=colour, markersize=3.2, alpha=0.5, markeredgewidth=0)
            if beta in keys:
                _beta_curve(ax, family, beta, ranking.split, colour, labelled=len(families) <= 4)
        low, high = ax.get_xlim(), ax.get_ylim()
        for total in np.linspace(low[0] + high[0], low[1] + high[1], 9)[1:-1]:
            ax.plot(low, [total - low[0], total - low[1]], color=GRID, linewidth=0.6, linestyle=(0, (2, 3)), zorder=0)
        ax.set(xlim=low, ylim=high, xlabel="rate: kl (nats)", ylabel="distortion: reconstruction (nats)")
        ax.grid(visible=False)
        return to_svg(figure, "rate and distortion of each run")


def families_of(ranking: Ranking, keys: Sequence[str], beta: str = "beta") -> list[str]:
    """The labels of the colours of `rate_distortion`, in their order."""
    runs = [run for group in ranking.groups for run in group.runs if {"kl", "reconstruction"} <= set(run.figures[ranking.split])]
    return [family.label for family in groups_of(runs, [key for key in keys if key != beta], ranking.split)]


def _beta_curve(ax: Any, family: Group, beta: str, split: str, colour: str, labelled: bool) -> None:
    means = []
    for group in groups_of(family.runs, [beta], split):
        value = group.settings[beta]
        if isinstance(value, int | float):
            means.append((float(value), group.figures["kl"].mean, group.figures["reconstruction"].mean))
    means.sort()
    ax.plot([m[1] for m in means], [m[2] for m in means], "-o", color=colour, markersize=5, linewidth=1.6)
    for value, rate, distortion in means if labelled and len(means) <= 10 else ():
        ax.annotate(f"β={value:g}", (rate, distortion), (5, 4), textcoords="offset points", fontsize=7.5, color=INK)


def _plane(run: RunRow, split: str) -> tuple[float, float]:
    return run.figures[split]["kl"], run.figures[split]["reconstruction"]


def key_against_metric(runs: Sequence[RunRow], key: str, metric: str, split: str) -> str | None:
    """A figure of every run over one swept key, with mean and standard deviation at each of its values."""
    all_pairs = [(run.settings.get(key), run.figures[split][metric]) for run in runs if metric in run.figures.get(split, {})]
    pairs = [(value, result) for value, result in all_pairs if value is not None and math.isfinite(result)]
    if len({str(value) for value, _ in pairs}) < 2:
        return None
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value, _ in pairs)
    names = list(dict.fromkeys(show(value) for value, _ in pairs))
    places = [float(value) if numeric else float(names.index(show(value))) for value, _ in pairs]
    by_place: dict[float, list[float]] = {}
    for place, (_, result) in zip(places, pairs, strict=True):
        by_place.setdefault(place, []).append(result)
    with drawing():
        figure = new_figure(3.2, 2.4)
        ax = figure.add_subplot()
        ax.plot(places, [result for _, result in pairs], "o", color=SERIES[0], markersize=3.6, alpha=0.55, markeredgewidth=0)
        if len(by_place) <= 12:
            x = sorted(by_place)
            means = [np.mean(by_place[p]) for p in x]
            spread = [float(np.std(by_place[p], ddof=1)) if len(by_place[p]) > 1 else 0.0 for p in x]
            ax.errorbar(x, means, spread, color=INK, fmt="-" if numeric else "_", linewidth=1, elinewidth=1, markersize=9)
        if numeric and spaced(places):
            ax.set_xscale("log")
            log_axis(ax.xaxis, places)
        elif not numeric:
            short = max(len(name) for name in names) * len(names) <= 34
            ax.set_xticks(range(len(names)), names, rotation=0 if short else 30, ha="center" if short else "right")
            ax.set_xlim(-0.5, len(names) - 0.5)
        elif len(by_place) <= 8:
            ax.set_xticks(sorted(by_place), [f"{p:g}" for p in sorted(by_place)])
        ax.set(xlabel=key, ylabel=axis_name(metric))
        return to_svg(figure, f"{metric} by {key}")


def kl_map(runs: Sequence[RunRow]) -> str | None:
    """Nats that each latent dimension carries in each run: a row a run, its dimensions by falling KL."""
    runs = [run for run in runs if run.kl_per_dimension][:MAP_ROWS]
    if not runs:
        return None
    width = max(len(run.kl_per_dimension or []) for run in runs)
    table = np.full((len(runs), width), np.nan)
    for row, run in enumerate(runs):
        values = sorted(run.kl_per_dimension or [], reverse=True)
        table[row, : len(values)] = values
    with drawing():
        figure = new_figure(7.0, 0.9 + 0.17 * len(runs))
        ax = figure.add_subplot()
        image = ax.imshow(table, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
        ax.set_yticks(range(len(runs)), [_clipped(f"{run.label}") for run in runs], fontsize=7.5)
        ax.set(xlabel="latent dimension, by falling KL")
        ax.set_xticks(range(0, width, max(1, width // 16)), [str(j) for j in range(1, width + 1, max(1, width // 16))])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, label="KL (nats)", fraction=0.03, pad=0.01)
        bar.outline.set_visible(False)
        return to_svg(figure, "KL of each latent dimension of each run")


def _clipped(text: str, most: int = 46) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def drawn_keys(swept: Sequence[str]) -> list[str]:
    """The keys that figures are drawn against: the seed tells nothing."""
    return [key for key in swept if key != SEED]
