"""Means over seeds, best first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vae_lightning.errors import UserError
from vae_lightning.evaluation.metrics import HIGHER_IS_BETTER, LOWER_IS_BETTER
from vae_lightning.reports.sweep.gather import Gathered, RunRow
from vae_lightning.reports.sweep.settings import identity

DEFAULT = "elbo"


@dataclass
class MetricSummary:
    """Mean, sample standard deviation (NaN for one run) and number of runs."""

    mean: float
    deviation: float
    count: int

    def text(self, digits: int = 2) -> str:
        spread = "" if math.isnan(self.deviation) else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}".replace("-", "−")


@dataclass
class Group:
    """The runs that differ by their seed only."""

    settings: dict[str, Any]
    runs: list[RunRow]
    metrics: dict[str, MetricSummary]

    @property
    def label(self) -> str:
        return " ".join(f"{key}={value}" for key, value in zip(self.settings, self.shown, strict=True)) or "all runs"

    @property
    def shown(self) -> list[str]:
        """The settings as text, each told apart from the other groups'."""
        return [self.runs[0].shown(key) for key in self.settings]


@dataclass
class Ranking:
    """The groups of one kind of figures, best first, by the mean of `metric` (`split`).

    `repeats`: how many finished runs had the settings and the seed of another one, which alone is in a group.
    """

    kind: str
    metric: str
    split: str
    groups: list[Group]
    repeats: int = 0


def rankings(gathered: Gathered, metric: str = "elbo", split: str = "test", direction: str | None = None) -> list[Ranking]:
    """One ranking for each kind of figures: numbers of different likelihoods or binarisations are never in one.

    Groups without the metric (a plain auto-encoder has no elbo) come last, as do those whose mean is not finite. UserError where
    no run has the metric that was asked for.
    """
    sign = _sign(metric, direction)
    known = gathered.metric_names(split)
    if known and metric not in (*known, DEFAULT):
        raise UserError(f"metric={metric}: no run has this figure ({split}); there is {', '.join(known)}.")

    def place(group: Group) -> tuple[bool, float]:
        figure = group.metrics.get(metric)
        return (False, -sign * figure.mean) if figure and math.isfinite(figure.mean) else (True, 0.0)

    found = []
    for kind in gathered.kinds():
        runs = [run for run in gathered.runs if run.done and run.kind == kind]
        # the same run twice would be a seed more, of no deviation
        distinct = [group.runs[0] for group in groups_of(runs, gathered.swept, split)]
        groups = sorted(groups_of(distinct, gathered.keys, split), key=place)
        found.append(Ranking(kind, metric, split, groups, len(runs) - len(distinct)))
    return found


def groups_of(runs: Sequence[RunRow], keys: Sequence[str], split: str) -> list[Group]:
    """Runs by their settings of `keys`, with the mean of each figure of the split."""
    together: dict[tuple[str, ...], list[RunRow]] = {}
    for run in runs:
        together.setdefault(tuple(identity(run.settings.get(key)) for key in keys), []).append(run)
    return [
        Group({key: alike[0].settings.get(key) for key in keys}, alike, _figures(alike, split)) for alike in together.values()
    ]


def _figures(runs: Sequence[RunRow], split: str) -> dict[str, MetricSummary]:
    names = dict.fromkeys(name for run in runs for name in run.metrics.get(split, {}))
    found = {}
    for name in names:
        values = [run.metrics[split][name] for run in runs if name in run.metrics.get(split, {})]
        found[name] = _mean(values)
    return found


def _mean(values: Sequence[float]) -> MetricSummary:
    if not all(math.isfinite(value) for value in values):  # `statistics` raises
        return MetricSummary(sum(values) / len(values), math.nan, len(values))
    return MetricSummary(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values))


def _sign(metric: str, direction: str | None) -> int:
    known = {**dict.fromkeys(HIGHER_IS_BETTER, "max"), **dict.fromkeys(LOWER_IS_BETTER, "min")}
    chosen = direction or known.get(metric)
    if chosen is None:
        raise UserError(f"metric={metric}: it is not known whether more is better; add direction=max or direction=min.")
    return 1 if chosen == "max" else -1


def columns(ranking: Ranking) -> list[str]:
    """The names of the figures, the one that ranks first."""
    names = dict.fromkeys(name for group in ranking.groups for name in group.metrics)
    return [name for name in (ranking.metric,) if name in names] + [name for name in names if name != ranking.metric]
