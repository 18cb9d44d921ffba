"""`report.html`: one file that answers what a sweep asked, without a single outside link."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from vae_lightning.reports.sweep import charts
from vae_lightning.reports.sweep.gather import Gathered
from vae_lightning.reports.sweep.image_strips import Strips
from vae_lightning.reports.sweep.ranking import Group, Ranking, columns
from vae_lightning.reports.sweep.rate_distortion import families_of, rate_distortion
from vae_lightning.reports.sweep.search_result import found_by_search
from vae_lightning.reports.sweep.settings import show
from vae_lightning.reports.sweep.summary import notes
from vae_lightning.reports.sweep.svg import SERIES

HERE = Path(__file__).parent
CURVE_METRICS = 4


def page(gathered: Gathered, found: Sequence[Ranking], pictures: dict[str, Strips | None], searched: dict[str, str]) -> str:
    """The whole page. pictures: strips by kind; searched: SVG by title."""
    title = ", ".join(f"{sweep.folder.parent.name}/{sweep.folder.name}" for sweep in gathered.sweeps)
    parts = [f"<h1>{escape(title)}</h1>", _state(gathered), *(f'<p class="soft">{escape(note)}</p>' for note in notes(found))]
    for ranking in found:
        if len(found) > 1:
            parts.append(f"<h2>{escape(ranking.kind)}</h2>")
        else:
            parts.append(f'<p class="soft">All runs: {escape(ranking.kind)}.</p>')
        parts += _ranking(ranking, gathered, pictures.get(ranking.kind))
    sentences = found_by_search(gathered)
    if searched or sentences:
        said = [f"<p>{escape(sentence)}</p>" for sentence in sentences]
        parts += ["<h2>The search</h2>", *said, _charts(searched.items(), "large")]
    parts += _unfinished(gathered)
    return _document(title, "\n".join(parts))


def _document(title: str, body: str) -> str:
    css, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<style>\n{css}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _state(gathered: Gathered) -> str:
    states = Counter(run.state for run in gathered.runs)
    words = ", ".join(f"{count} {state}" for state, count in states.most_common())
    commands = "<br>".join(f"<code>python train.py -m {escape(shlex.join(s.arguments))}</code>" for s in gathered.sweeps)
    return f'<p class="soft">{len(gathered.runs)} jobs: {words}.<br>{commands}</p>'


def _ranking(ranking: Ranking, gathered: Gathered, strips: Strips | None) -> list[str]:
    keys, runs = gathered.keys, [run for group in ranking.groups for run in group.runs]
    parts = [_best(ranking), _table(ranking, keys)]
    curves = _curves(ranking)
    if curves:
        parts += ["<h3>Learning curves</h3>", _band_note(ranking)]
        parts += [_legend(group.label for group in ranking.groups), _charts(curves)]
    drawn = rate_distortion(ranking, keys)
    if drawn:
        families = families_of(ranking, keys)
        text = "Each run at its best checkpoint; along the thin lines the ELBO is the same, and better to the lower left."
        legend = _legend(families) if len(families) > 1 else ""
        parts += [
            "<h3>Rate and distortion</h3>",
            f'<p class="soft">{text}</p>',
            legend,
            f'<figure class="single">{drawn}</figure>',
        ]
    parts += _keys(ranking, keys, runs)
    heat = charts.kl_map(runs)
    if heat:
        more = f" (the best {charts.MAP_ROWS} of {len(runs)} runs)" if len(runs) > charts.MAP_ROWS else ""
        parts += [f"<h3>KL of each latent dimension{more}</h3>", f'<figure class="scroll">{heat}</figure>']
    if strips is not None:
        parts += ["<h3>The same images through every run, and samples from the same noise</h3>", _strips(strips)]
    return parts


def _best(ranking: Ranking) -> str:
    best = ranking.groups[0]
    figure = best.metrics.get(ranking.metric)
    if figure is None:
        return ""
    runs = f"{figure.count} run{'s' if figure.count > 1 else ''}"
    name = f"{ranking.split} {charts.axis_name(ranking.metric)}"
    return f'<div class="best">{escape(name)}: <b>{figure.text()}</b> over {runs}, by <code>{escape(best.label)}</code></div>'


def _table(ranking: Ranking, keys: Sequence[str]) -> str:
    names = columns(ranking)
    heads = [*((key, True) for key in keys), ("runs", False), *((name, False) for name in names)]
    head = "".join(
        f'<th scope="col"{" class=text" if text else ""}{_sorted(name, ranking)}>'
        f'<button type="button">{escape(name)}</button></th>'
        for name, text in heads
    )
    rows = "\n".join(f"<tr>{_row(group, names, place)}</tr>" for place, group in enumerate(ranking.groups))
    return f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _sorted(name: str, ranking: Ranking) -> str:
    figures = [group.metrics[name].mean for group in ranking.groups if name in group.metrics]
    if name != ranking.metric or len(figures) < 2:
        return ""
    return f' aria-sort="{"descending" if figures[0] >= figures[-1] else "ascending"}"'


def _row(group: Group, names: Sequence[str], place: int) -> str:
    swatch = f'<span class="swatch" style="background:var(--c{place})"></span>' if place < len(SERIES) else ""
    cells = []
    for i, (value, text) in enumerate(zip(group.settings.values(), group.shown, strict=True)):
        cells.append(f'<td class="text" data-value="{escape(_plain(value))}">{swatch if i == 0 else ""}{escape(text)}</td>')
    cells.append(f'<td data-value="{len(group.runs)}">{len(group.runs)}</td>')
    for name in names:
        figure = group.metrics.get(name)
        value = repr(figure.mean) if figure and math.isfinite(figure.mean) else ""
        cells.append(f'<td data-value="{value}">{figure.text() if figure else "–"}</td>')
    return "".join(cells)


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else show(value)


def _curves(ranking: Ranking) -> list[tuple[str, str]]:
    names = [name for name in columns(ranking) if name != "active_units"][:CURVE_METRICS]
    drawn = [("", charts.learning_curves(ranking.groups, "val", name)) for name in names]
    drawn.append(("", charts.learning_curves(ranking.groups, "train", ranking.metric)))
    return [(title, svg) for title, svg in drawn if svg]


def _band_note(ranking: Ranking) -> str:
    rest = f"; the best {len(SERIES)} in colour, the rest grey" if len(ranking.groups) > len(SERIES) else ""
    band = ", with a band of one standard deviation over seeds" if any(len(group.runs) > 1 for group in ranking.groups) else ""
    return f'<p class="soft">By epoch{band}{rest}. The first epochs may lie outside of the drawing.</p>'


def _legend(labels: Iterable[str]) -> str:
    shown = [
        f'<span><span class="swatch" style="background:var(--c{i})"></span>{escape(label)}</span>'
        for i, label in enumerate(labels)
        if i < len(SERIES)
    ]
    return f'<div class="legend">{"".join(shown)}</div>'


def _keys(ranking: Ranking, keys: Sequence[str], runs: Sequence[Any]) -> list[str]:
    parts = []
    for key in keys:
        others = [other for other in keys if other != key]
        drawn = [(name, charts.key_against_metric(runs, key, others, name, ranking.split)) for name in columns(ranking)]
        good = [("", svg) for _, svg in drawn if svg]
        if good:
            labels = charts.key_families(runs, others, ranking.split)
            parts += [f"<h3>By {escape(key)}</h3>", _legend(labels) if labels else "", _charts(good)]
    return parts


def _charts(drawn: Iterable[tuple[str, str]], kind: str = "") -> str:
    figures = [f"<figure>{f'<figcaption>{escape(title)}</figcaption>' if title else ''}{svg}</figure>" for title, svg in drawn]
    return f'<div class="charts {kind}">{"".join(figures)}</div>'


def _strips(strips: Strips) -> str:
    width, height = strips.size
    cells = ['<span class="head"></span><span class="head">reconstructions</span><span class="head">samples</span>']

    def image(uri: str, text: str) -> str:
        return f'<img src="{uri}" width="{width}" height="{height}" alt="{escape(text)}">'

    cells.append(f'<span class="label">originals</span>{image(strips.originals, "the original images")}<span></span>')
    for row in strips.rows:
        pair = image(row.reconstructions, f"reconstructions by {row.label}") + image(row.samples, f"samples of {row.label}")
        cells.append(f'<span class="label">{escape(row.label)}</span>{pair}')
    return f'<div class="strips">{"".join(cells)}</div>'


def _unfinished(gathered: Gathered) -> list[str]:
    runs = [run for run in gathered.runs if not run.done]
    if not runs:
        return []
    rows = "".join(
        f'<tr><td class="text">{escape(run.folder.name)}</td><td class="text {run.state}">{run.state}</td>'
        f'<td class="text">{escape(run.label)}</td><td class="text wrap">{escape(run.error or "")}</td></tr>'
        for run in runs
    )
    head = "".join(f'<th scope="col" class="text">{name}</th>' for name in ("job", "state", "overrides", "error"))
    return [
        "<h2>Jobs without results</h2>",
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>',
    ]
