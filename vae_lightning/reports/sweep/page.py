"""`report.html`: the summary of a sweep in a single file without any external link.

`page.html` is its template, with the text. The page shows, for each kind of runs: the best group, a table of all groups, learning
curves, rate and distortion, every metric by each swept key, the KL of each latent dimension, and strips of images. Then come the
search and the jobs without results.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from vae_lightning.errors import printable
from vae_lightning.evaluation.metrics import find_metric
from vae_lightning.reports.sweep import charts
from vae_lightning.reports.sweep.gather import Gathered, RunRow
from vae_lightning.reports.sweep.image_strips import Strips
from vae_lightning.reports.sweep.ranking import Group, Ranking, columns
from vae_lightning.reports.sweep.rate_distortion import families_of, rate_distortion
from vae_lightning.reports.sweep.search_result import found_by_search
from vae_lightning.reports.sweep.settings import show
from vae_lightning.reports.sweep.summary import notes
from vae_lightning.reports.sweep.svg import SERIES

Drawings = list[tuple[str, str]]


@dataclass
class Cell:
    """A cell of a table: the value that sorts it, and what is shown."""

    value: str
    shown: str
    text: bool = False


@dataclass
class Column:
    """The head of a table's column. `sorted`: ascending, descending, or empty."""

    name: str
    text: bool = False
    sorted: str = ""


@dataclass
class Best:
    """The best group: its metric, mean, number of runs and settings."""

    metric: str
    value: str
    runs: int
    label: str


@dataclass
class ByKey:
    """The charts of every metric against one swept key, and the labels of their lines."""

    key: str
    labels: list[str]
    drawings: Drawings


@dataclass
class Section:
    """What the page shows about the runs of one kind. Drawings are SVG."""

    kind: str
    best: Best | None
    columns: list[Column]
    rows: list[list[Cell]]
    labels: list[str]
    has_seeds: bool
    curves: Drawings
    rate_distortion: str | None
    families: list[str]
    by_key: list[ByKey]
    kl_map: str | None
    runs: int
    strips: Strips | None


def page(
    gathered: Gathered, found: Sequence[Ranking], pictures: Mapping[str, Strips | None], search_charts: Mapping[str, str]
) -> str:
    """Return the whole page as HTML.

    Args:
        gathered: the runs.
        found: a ranking for each kind of runs.
        pictures: image strips by kind.
        search_charts: SVG by title.
    """
    return _template().render(
        title=", ".join(f"{sweep.folder.parent.name}/{sweep.folder.name}" for sweep in gathered.sweeps),
        runs=gathered.runs,
        states=Counter(run.state for run in gathered.runs).most_common(),
        commands=[printable(f"python train.py -m {shlex.join(sweep.arguments)}") for sweep in gathered.sweeps],
        notes=notes(found),
        sections=[_section(ranking, gathered.keys, pictures.get(ranking.kind)) for ranking in found],
        search_sentences=found_by_search(gathered),
        search_charts=list(search_charts.items()),
        unfinished=[run for run in gathered.runs if not run.done or run.error],
        colours=len(SERIES),
        map_rows=charts.MAP_ROWS,
    )


def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html")


def _section(ranking: Ranking, keys: Sequence[str], strips: Strips | None) -> Section:
    runs = [run for group in ranking.groups for run in group.runs]
    return Section(
        kind=ranking.kind,
        best=_best(ranking),
        columns=_columns(ranking, keys),
        rows=[_row(group, columns(ranking)) for group in ranking.groups],
        labels=[group.label for group in ranking.groups],
        has_seeds=any(len(group.runs) > 1 for group in ranking.groups),
        curves=_curves(ranking),
        rate_distortion=rate_distortion(ranking, keys),
        families=families_of(ranking, keys),
        by_key=_by_key(ranking, keys, runs),
        kl_map=charts.kl_map(runs),
        runs=len(runs),
        strips=strips,
    )


def _best(ranking: Ranking) -> Best | None:
    group = ranking.groups[0]
    summary = group.metrics.get(ranking.metric)
    name = f"{ranking.split} {charts.axis_name(ranking.metric)}"
    return None if summary is None else Best(name, summary.text(), summary.count, group.label)


def _columns(ranking: Ranking, keys: Sequence[str]) -> list[Column]:
    names = [Column(name, sorted=_sorted(name, ranking)) for name in columns(ranking)]
    return [*(Column(key, text=True) for key in keys), Column("runs"), *names]


def _sorted(name: str, ranking: Ranking) -> str:
    means = [group.metrics[name].mean for group in ranking.groups if name in group.metrics]
    if name != ranking.metric or len(means) < 2:
        return ""
    return "descending" if means[0] >= means[-1] else "ascending"


def _row(group: Group, names: Sequence[str]) -> list[Cell]:
    cells = [Cell(_sort_value(value), text, text=True) for value, text in zip(group.settings.values(), group.shown, strict=True)]
    cells.append(Cell(str(len(group.runs)), str(len(group.runs))))
    for name in names:
        summary = group.metrics.get(name)
        value = repr(summary.mean) if summary and math.isfinite(summary.mean) else ""
        cells.append(Cell(value, summary.text() if summary else "–"))
    return cells


def _sort_value(value: object) -> str:
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else show(value)


def _curves(ranking: Ranking) -> Drawings:
    names = [name for name in columns(ranking) if (metric := find_metric(name)) is None or metric.learning_curve]
    drawn = [charts.learning_curves(ranking.groups, "val", name) for name in names]
    drawn.append(charts.learning_curves(ranking.groups, "train", ranking.metric))
    return [("", svg) for svg in drawn if svg]


def _by_key(ranking: Ranking, keys: Sequence[str], runs: Sequence[RunRow]) -> list[ByKey]:
    found = []
    for key in keys:
        others = [other for other in keys if other != key]
        drawn = [charts.key_against_metric(runs, key, others, name, ranking.split) for name in columns(ranking)]
        if any(drawn):
            labels = charts.key_families(runs, others, ranking.split)
            found.append(ByKey(key, labels, [("", svg) for svg in drawn if svg]))
    return found
