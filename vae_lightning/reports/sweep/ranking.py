"""Means over seeds, best first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vae_lightning.errors import UserError
from vae_lightning.evaluation.metrics import VALIDATION_METRICS, better_direction, digits_of
from vae_lightning.reports.sweep.gather import Gathered, RunRow
from vae_lightning.reports.sweep.settings import identity

DEFAULT = VALIDATION_METRICS[0]


@dataclass
class MetricSummary:
    """Mean, sample standard deviation (NaN for one run) and number of runs; `digits` decimals are shown."""

    mean: float
    deviation: float
    count: int
    digits: int = 2

    def text(self) -> str:
        """`−101.23 ± 0.45`."""
        spread = "" if math.isnan(self.deviation) else f" ± {self.deviation:.{self.digits}f}"
        return f"{self.mean:.{self.digits}f}{spread}".replace("-", "−")


@dataclass
class Group:
    """Runs that differ only in their seed."""

    settings: dict[str, Any]
    runs: list[RunRow]
    metrics: dict[str, MetricSummary]

    @property
    def label(self) -> str:
        """`beta=4 model=mlp`: the settings on one line."""
        return " ".join(f"{key}={value}" for key, value in zip(self.settings, self.shown, strict=True)) or "all runs"

    @property
    def shown(self) -> list[str]:
        """The settings as text, with enough digits to distinguish them from the other groups'."""
        return [self.runs[0].shown(key) for key in self.settings]


@dataclass
class Ranking:
    """The groups of runs of one kind, best first by the mean of `metric` on `split`.

    Attributes:
        kind: see `RunRow.kind`.
        repeats: the number of finished runs that were left out because they repeat the settings and seed of an earlier one.
    """

    kind: str
    metric: str
    split: str
    groups: list[Group]
    repeats: int = 0


def rankings(gathered: Gathered, metric: str = DEFAULT, split: str = "test", direction: str | None = None) -> list[Ranking]:
    """One ranking for each kind of runs: metrics of different data, likelihoods or binarisations are never mixed.

    Groups without the metric (a plain autoencoder has no elbo) come last, and so do groups whose mean is not finite.

    Args:
        gathered: the runs.
        metric: the metric to rank by.
        split: `val` or `test`.
        direction: `max` or `min`; None for the metric's usual direction.

    Raises:
        UserError: no run has the metric, or its direction is unknown.
    """
    sign = _sign(metric, direction)
    known = gathered.metric_names(split)
    if known and metric not in (*known, DEFAULT):
        raise UserError(f"metric={metric}: no run has this metric on the {split} split; available: {', '.join(known)}.")

    def sort_key(group: Group) -> tuple[bool, float]:
        summary = group.metrics.get(metric)
        return (False, -sign * summary.mean) if summary and math.isfinite(summary.mean) else (True, 0.0)

    found = []
    for kind in gathered.kinds():
        runs = [run for run in gathered.runs if run.done and run.kind == kind]
        # a repeated run would count as another seed without any deviation
        distinct = [group.runs[0] for group in groups_of(runs, gathered.swept, split)]
        groups = sorted(groups_of(distinct, gathered.keys, split), key=sort_key)
        found.append(Ranking(kind, metric, split, groups, len(runs) - len(distinct)))
    return found


def groups_of(runs: Sequence[RunRow], keys: Sequence[str], split: str) -> list[Group]:
    """Group runs by their settings of `keys`, and average each metric of the split."""
    together: dict[tuple[str, ...], list[RunRow]] = {}
    for run in runs:
        together.setdefault(tuple(identity(run.settings.get(key)) for key in keys), []).append(run)
    return [
        Group({key: alike[0].settings.get(key) for key in keys}, alike, _summaries(alike, split)) for alike in together.values()
    ]


def _summaries(runs: Sequence[RunRow], split: str) -> dict[str, MetricSummary]:
    names = dict.fromkeys(name for run in runs for name in run.metrics.get(split, {}))
    found = {}
    for name in names:
        values = [run.metrics[split][name] for run in runs if name in run.metrics.get(split, {})]
        found[name] = _mean(values, digits_of(name))
    return found


def _mean(values: Sequence[float], digits: int) -> MetricSummary:
    if not all(math.isfinite(value) for value in values):  # `statistics` raises
        return MetricSummary(sum(values) / len(values), math.nan, len(values), digits)
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return MetricSummary(statistics.fmean(values), deviation, len(values), digits)


def _sign(metric: str, direction: str | None) -> int:
    chosen = direction or better_direction(metric)
    if chosen is None:
        raise UserError(
            f"metric={metric}: it is not known whether higher or lower is better; add direction=max or direction=min."
        )
    return 1 if chosen == "max" else -1


def columns(ranking: Ranking) -> list[str]:
    """Return the names of the metrics, starting with the one that ranks."""
    names = dict.fromkeys(name for group in ranking.groups for name in group.metrics)
    return [name for name in (ranking.metric,) if name in names] + [name for name in names if name != ranking.metric]
