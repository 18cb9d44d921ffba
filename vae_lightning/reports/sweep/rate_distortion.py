"""The rate-distortion plot on the page of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from vae_lightning.reports.sweep.gather import RunRow
from vae_lightning.reports.sweep.ranking import Group, Ranking, groups_of
from vae_lightning.reports.sweep.settings import is_plain_number
from vae_lightning.reports.sweep.svg import GRID, INK, MUTED, SERIES, drawing, near_limits, new_figure, to_svg


def rate_distortion(ranking: Ranking, keys: Sequence[str], beta: str = "beta") -> str | None:
    """Plot each run by rate (KL) and distortion (−log p(x|z)), with a curve through the means along β, other settings equal.

    ELBO = −(rate + distortion), so the ELBO is constant along the thin lines (Alemi et al. 2018, figure 1).

    Args:
        ranking: the runs.
        keys: the swept keys.
        beta: the key that curves follow.

    Returns:
        SVG, or None if fewer than two runs have both metrics.
    """
    runs = _in_plane(ranking)
    if len(runs) < 2:
        return None
    families = _families(runs, keys, beta, ranking.split)
    others = [key for key in keys if key != beta]
    with drawing():
        figure = new_figure(5.2, 3.9)
        ax = figure.add_subplot()
        for i, family in enumerate(families):
            colour = SERIES[i] if i < len(SERIES) else MUTED
            points = np.array([_plane(run, ranking.split) for run in family.runs])
            ax.plot(*points.T, "o", color=colour, markersize=3.2, alpha=0.5, markeredgewidth=0)
            if beta in keys and len(groups_of(family.runs, others, ranking.split)) == 1:
                _beta_curve(ax, family, beta, ranking.split, colour, labelled=len(families) <= 4)
        near_limits(ax, [_plane(run, ranking.split)[1] for run in runs])
        low, high = ax.get_xlim(), ax.get_ylim()
        for total in np.linspace(low[0] + high[0], low[1] + high[1], 9)[1:-1]:
            ax.plot(low, [total - low[0], total - low[1]], color=GRID, linewidth=0.6, linestyle=(0, (2, 3)), zorder=0)
        ax.set(xlim=low, ylim=high, xlabel="rate: kl (nats)", ylabel="distortion: reconstruction (nats)")
        ax.grid(visible=False)
        return to_svg(figure, "rate and distortion of each run")


def families_of(ranking: Ranking, keys: Sequence[str], beta: str = "beta") -> list[str]:
    """Return the labels of the colours in `rate_distortion`, in order."""
    runs = _in_plane(ranking)
    return [family.label for family in _families(runs, keys, beta, ranking.split)]


def _in_plane(ranking: Ranking) -> list[RunRow]:
    runs = [run for group in ranking.groups for run in group.runs]
    return [
        run for run in runs if all(math.isfinite(run.metrics[ranking.split].get(n, math.nan)) for n in ("kl", "reconstruction"))
    ]


def _families(runs: Sequence[RunRow], keys: Sequence[str], beta: str, split: str) -> list[Group]:
    """Group the runs that differ only in β and seed; one group if there are more than colours, or if β is not swept."""
    families = groups_of(runs, [key for key in keys if key != beta], split)
    return families if len(families) <= len(SERIES) and beta in keys else groups_of(runs, [], split)


def _beta_curve(ax: Axes, family: Group, beta: str, split: str, colour: str, labelled: bool) -> None:
    means = []
    for group in groups_of(family.runs, [beta], split):
        value = group.settings[beta]
        if is_plain_number(value):
            means.append((float(value), group.metrics["kl"].mean, group.metrics["reconstruction"].mean))
    means.sort()
    ax.plot([m[1] for m in means], [m[2] for m in means], "-o", color=colour, markersize=5, linewidth=1.6)
    for value, rate, distortion in means if labelled and len(means) <= 10 else ():
        ax.annotate(f"β={value:g}", (rate, distortion), (5, 4), textcoords="offset points", fontsize=7.5, color=INK)


def _plane(run: RunRow, split: str) -> tuple[float, float]:
    return run.metrics[split]["kl"], run.metrics[split]["reconstruction"]
