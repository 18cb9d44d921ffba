"""The charts on the page of a sweep. Each function returns SVG, or None if there is nothing to draw."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vae_lightning.evaluation.metrics import unit_of
from vae_lightning.reports.sweep.gather import RunRow
from vae_lightning.reports.sweep.ranking import Group, groups_of
from vae_lightning.reports.sweep.settings import is_plain_number
from vae_lightning.reports.sweep.svg import MUTED, SERIES, apart, drawing, log_axis, near_limits, new_figure, spaced, to_svg

MAP_ROWS = 40
MAX_FAMILIES = 4
MAX_POSITIONS = 12


def axis_name(metric: str) -> str:
    """Name a metric with its unit: `elbo (nats)`."""
    unit = unit_of(metric)
    return f"{metric} ({unit})" if unit else metric


def learning_curves(groups: Sequence[Group], kind: str, metric: str) -> str | None:
    """Plot the mean over seeds of a metric by epoch, with a band of one standard deviation; the best groups in colour."""
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
        _trim(ax, [mean for _, mean, _ in curves[: len(SERIES)]])
        ax.set(xlabel="epoch", ylabel=axis_name(metric), title=f"{'validation' if kind == 'val' else 'training'} {metric}")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return to_svg(figure, f"{metric} by epoch")


def _mean_curve(runs: Sequence[RunRow], kind: str, metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return epochs, means and standard deviations, over the epochs that any of the runs has."""
    by_epoch: dict[int, list[float]] = {}
    for run in runs:
        for epoch, value in run.curve(kind, metric):
            if math.isfinite(value):
                by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    deviation = [np.std(by_epoch[e], ddof=1) if len(by_epoch[e]) > 1 else 0.0 for e in epochs]
    return np.array(epochs), np.array([np.mean(by_epoch[e]) for e in epochs]), np.array(deviation)


def _trim(ax: Axes, curves: Sequence[np.ndarray]) -> None:
    """Cut off the first epochs if they are so far from the rest that they would flatten the curves."""
    curves = [curve for curve in curves if len(curve)]
    if not curves:
        return
    later = np.concatenate([curve[len(curve) // 4 :] for curve in curves])
    whole = np.concatenate(curves)
    low, high = later.min(), later.max()
    margin = 0.06 * (high - low) or 1.0
    if whole.max() - whole.min() > 1.5 * (high - low):
        ax.set_ylim(max(whole.min(), low) - margin, min(whole.max(), high) + margin)


def key_against_metric(runs: Sequence[RunRow], key: str, others: Sequence[str], metric: str, split: str) -> str | None:
    """Plot a metric of every run against one swept key, with the mean and standard deviation at each value.

    There is a line for each setting of the `others` if there are few (labelled by `key_families`), else one line for all.
    """
    runs = [
        run
        for run in runs
        if math.isfinite(run.metrics.get(split, {}).get(metric, math.nan)) and run.settings.get(key) is not None
    ]
    names = list(dict.fromkeys(run.shown(key) for run in runs))
    if len(names) < 2:
        return None
    numeric = all(is_plain_number(run.settings[key]) for run in runs)

    def position(run: RunRow) -> float:
        return float(run.settings[key]) if numeric else float(names.index(run.shown(key)))

    labels = key_families(runs, others, split)
    families = groups_of(runs, others if labels else [], split)
    with drawing():
        figure = new_figure()
        ax = figure.add_subplot()
        for i, family in enumerate(families):
            by_position: dict[float, list[float]] = {}
            for run in family.runs:
                by_position.setdefault(position(run), []).append(run.metrics[split][metric])
            _means(ax, by_position, SERIES[i], line=numeric, apart=0.0 if numeric else 0.12 * (i - (len(families) - 1) / 2))
        near_limits(ax, [run.metrics[split][metric] for run in runs])
        _key_axis(ax, [position(run) for run in runs], None if numeric else names)
        ax.set(xlabel=key, ylabel=axis_name(metric))
        return to_svg(figure, f"{metric} by {key}")


def key_families(runs: Sequence[RunRow], others: Sequence[str], split: str) -> list[str]:
    """Return the labels of the lines in `key_against_metric`; empty if a single line has all runs."""
    labels = [group.label for group in groups_of(runs, others, split)] if others else []
    return labels if 1 < len(labels) <= MAX_FAMILIES else []


def _means(ax: Axes, by_position: dict[float, list[float]], colour: str, line: bool, apart: float) -> None:
    positions = sorted(by_position)
    for p in positions:
        ax.plot([p + apart] * len(by_position[p]), by_position[p], "o", color=colour, markersize=4, alpha=0.45, markeredgewidth=0)
    if len(positions) <= MAX_POSITIONS and len({len(values) for values in by_position.values()}) == 1:  # a grid, not a search
        means = [float(np.mean(by_position[p])) for p in positions]
        spread = [float(np.std(by_position[p], ddof=1)) if len(by_position[p]) > 1 else 0.0 for p in positions]
        style = "-" if line else "_"
        ax.errorbar(
            [p + apart for p in positions], means, spread, color=colour, fmt=style, linewidth=1.5, elinewidth=0.9, markersize=10
        )


def _key_axis(ax: Axes, positions: Sequence[float], names: Sequence[str] | None) -> None:
    distinct = sorted(set(positions))
    if names is not None:
        short = max(len(name) for name in names) * len(names) <= 34
        ax.set_xticks(range(len(names)), names, rotation=0 if short else 30, ha="center" if short else "right")
        ax.set_xlim(-0.5, len(names) - 0.5)
    elif spaced(positions):
        ax.set_xscale("log")
        log_axis(ax.xaxis, positions)
    elif apart(distinct):
        ax.set_xticks(distinct, [f"{p:.4g}" for p in distinct])
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6))


def kl_map(runs: Sequence[RunRow]) -> str | None:
    """Draw the KL of each latent dimension in nats: a row for each run, with its dimensions sorted by KL."""
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
        ax.set_yticks(range(len(runs)), _names(runs), fontsize=7.5)
        ax.set(xlabel="latent dimension, sorted by KL")
        ax.set_xticks(range(0, width, max(1, width // 16)), [str(j) for j in range(1, width + 1, max(1, width // 16))])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, label="KL (nats)", fraction=0.03, pad=0.01)
        bar.outline.set_visible(False)
        return to_svg(figure, "KL of each latent dimension of each run")


def _names(runs: Sequence[RunRow], most: int = 46) -> list[str]:
    """Return the runs' labels, shortened by the groups of their keys if too long, and all distinct."""
    found = []
    for run in runs:
        text = run.label if len(run.label) <= most else re.sub(r"(?<!\S)[\w./]+[./](\w+=)", r"\1", run.label)
        found.append(text if len(text) <= most else f"{text[: most - 1]}…")
    return found if len(set(found)) == len(found) else [f"{run.number:03d} {text}" for run, text in zip(runs, found, strict=True)]
