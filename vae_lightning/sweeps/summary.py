"""Means over seeds, best first, and a row for each job: as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from vae_lightning.errors import UserError
from vae_lightning.sweeps.gather import Gathered, RunRow, identity

HIGHER_IS_BETTER = (
    "elbo",
    "bound",
    "active_units",
    "log_likelihood",
    "accuracy",
    "mutual_information",
    "mig",
    "images_per_second",
)
DEFAULT = "elbo"
LOWER_IS_BETTER = ("reconstruction", "kl", "nll", "loss", "bits_per_dim", "fid", "kid", "mse")
FRONT = ("elbo", "bound", "nll", "reconstruction", "kl", "active_units")  # in the terminal


@dataclass
class Figure:
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
    figures: dict[str, Figure]

    @property
    def label(self) -> str:
        return " ".join(f"{key}={show(value)}" for key, value in self.settings.items()) or "all runs"


@dataclass
class Ranking:
    """The groups of one kind of figures, best first, by the mean of `metric` (`split`)."""

    kind: str
    metric: str
    split: str
    groups: list[Group]


def rankings(gathered: Gathered, metric: str = "elbo", split: str = "test", direction: str | None = None) -> list[Ranking]:
    """One ranking for each kind of figures: numbers of different likelihoods or binarisations are never in one.

    Groups without the metric (a plain auto-encoder has no elbo) come last, as do those whose mean is not finite. UserError where
    no run has the metric that was asked for.
    """
    sign = _sign(metric, direction)
    known = gathered.metrics(split)
    if known and metric not in (*known, DEFAULT):
        raise UserError(f"metric={metric}: no run has this figure ({split}); there is {', '.join(known)}.")

    def place(group: Group) -> tuple[bool, float]:
        figure = group.figures.get(metric)
        return (False, -sign * figure.mean) if figure and math.isfinite(figure.mean) else (True, 0.0)

    found = []
    for kind in gathered.kinds():
        runs = [run for run in gathered.runs if run.done and run.kind == kind]
        found.append(Ranking(kind, metric, split, sorted(groups_of(runs, gathered.keys, split), key=place)))
    return found


def groups_of(runs: Sequence[RunRow], keys: Sequence[str], split: str) -> list[Group]:
    """Runs by their settings of `keys`, with the mean of each figure of the split."""
    together: dict[tuple[str, ...], list[RunRow]] = {}
    for run in runs:
        together.setdefault(tuple(identity(run.settings.get(key)) for key in keys), []).append(run)
    return [
        Group({key: alike[0].settings.get(key) for key in keys}, alike, _figures(alike, split)) for alike in together.values()
    ]


def _figures(runs: Sequence[RunRow], split: str) -> dict[str, Figure]:
    names = dict.fromkeys(name for run in runs for name in run.figures.get(split, {}))
    found = {}
    for name in names:
        values = [run.figures[split][name] for run in runs if name in run.figures.get(split, {})]
        found[name] = _mean(values)
    return found


def _mean(values: Sequence[float]) -> Figure:
    if not all(math.isfinite(value) for value in values):  # `statistics` raises
        return Figure(sum(values) / len(values), math.nan, len(values))
    return Figure(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values))


def _sign(metric: str, direction: str | None) -> int:
    known = {**dict.fromkeys(HIGHER_IS_BETTER, "max"), **dict.fromkeys(LOWER_IS_BETTER, "min")}
    chosen = direction or known.get(metric)
    if chosen is None:
        raise UserError(f"metric={metric}: it is not known whether more is better; add direction=max or direction=min.")
    return 1 if chosen == "max" else -1


def show(value: Any) -> str:
    """A setting as it is typed, numbers to four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else str(value).replace(" ", "").replace("'", "")


def summary_csv(gathered: Gathered) -> str:
    """A row for each job: where it is, what became of it, the swept keys, and every figure as `<split>/<name>`."""
    names = [(split, name) for split in ("test", "val") for name in gathered.metrics(split)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["sweep", "folder", "state", *gathered.swept, "comparable", *(f"{s}/{n}" for s, n in names), "seconds", "error"]
    )
    for run in gathered.runs:
        settings = [run.settings.get(key) for key in gathered.swept]
        figures = [run.figures.get(split, {}).get(name, "") for split, name in names]
        writer.writerow(
            [run.sweep.name, run.folder.name, run.state, *settings, run.kind, *figures, run.seconds or "", run.error or ""]
        )
    return text.getvalue()


def markdown(found: Sequence[Ranking], gathered: Gathered) -> str:
    """Every ranking as a table, and what did not end."""
    lines = [*notes(found), ""]
    for ranking in found:
        names = columns(ranking)
        lines += [f"### {ranking.kind}", "", "| " + " | ".join([*gathered.keys, "runs", *names]) + " |"]
        lines.append("|" + "---|" * (len(gathered.keys) + 1 + len(names)))
        for group in ranking.groups:
            cells = [*(show(v) for v in group.settings.values()), str(len(group.runs)), *(_cell(group, n) for n in names)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += [f"- {run.state}: {run.folder.name} {run.label} {run.error or ''}".rstrip() for run in gathered.runs if not run.done]
    return "\n".join(lines).rstrip() + "\n"


def notes(found: Sequence[Ranking]) -> list[str]:
    """What a reader of the figures has to know."""
    if not found:
        return ["No run has ended yet."]
    said = [
        f"Mean ± standard deviation over seeds, {found[0].split} split, nats per image, at β = 1 whatever β was trained with; "
        f"{_order(found)}."
    ]
    if len(found) > 1:
        said.append("Figures of different data, likelihoods or binarisations cannot be compared: each has a table of its own.")
    return said


def _order(found: Sequence[Ranking]) -> str:
    metric = found[0].metric
    if any(metric in group.figures for ranking in found for group in ranking.groups):
        return f"best {metric} first"
    return f"no run has {metric}, so they are in the order of the jobs"


def terminal_table(ranking: Ranking, keys: Sequence[str], most: int = 20) -> Table:
    """The best groups with the figures that are looked at first."""
    title = ranking.kind + (f" (best {most} of {len(ranking.groups)})" if len(ranking.groups) > most else "")
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False, title_style="bold")
    names = [name for name in columns(ranking) if name in (*FRONT, ranking.metric)]
    for key in keys:
        table.add_column(escape(key))
    for name in ("runs", *names):
        table.add_column(name, justify="right", no_wrap=True)
    for group in ranking.groups[:most]:
        table.add_row(
            *(escape(show(v)) for v in group.settings.values()), str(len(group.runs)), *(_cell(group, n) for n in names)
        )
    return table


def columns(ranking: Ranking) -> list[str]:
    """The names of the figures, the one that ranks first."""
    names = dict.fromkeys(name for group in ranking.groups for name in group.figures)
    return [name for name in (ranking.metric,) if name in names] + [name for name in names if name != ranking.metric]


def _cell(group: Group, name: str) -> str:
    return group.figures[name].text() if name in group.figures else "–"
