"""The summary of a sweep as text: tables for the terminal and in Markdown, and a row for each job as CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from vae_lightning.errors import printable
from vae_lightning.evaluation.metrics import SWEEP_TABLE, unit_of
from vae_lightning.reports.sweep.gather import Gathered
from vae_lightning.reports.sweep.ranking import Group, Ranking, columns
from vae_lightning.reports.sweep.search_result import found_by_search
from vae_lightning.runs.sweep_record import DAMAGED

MAX_GROUPS = 20
_OTHER_UNITS = {"bits": "in bits per pixel and channel", "": "without a unit"}


def summary_csv(gathered: Gathered) -> str:
    """Return a row for each job: its folder and state, the swept keys, and every metric as `<split>/<name>`.

    Text that a spreadsheet would run as a formula starts with an apostrophe.
    """
    names = [(split, name) for split in ("test", "val") for name in gathered.metric_names(split)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["sweep", "folder", "state", *gathered.swept, "comparable", *(f"{s}/{n}" for s, n in names), "seconds", "error"]
    writer.writerow(map(_csv_cell, head))
    for run in gathered.runs:
        settings = [run.settings.get(key) for key in gathered.swept]
        values = [run.metrics.get(split, {}).get(name, "") for split, name in names]
        cells = [run.sweep.name, run.folder.name, run.state, *settings, run.kind, *values, run.seconds or "", run.error or ""]
        writer.writerow(map(_csv_cell, cells))
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """Return numbers unchanged, and text with control characters escaped and an apostrophe if it starts like a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = printable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def markdown(found: Sequence[Ranking], gathered: Gathered) -> str:
    """Return a table for each ranking, and a list of the unfinished jobs."""
    lines = [*notes(found), ""]
    for ranking in found:
        names = columns(ranking)
        lines += [f"### {_markdown_text(ranking.kind)}", ""]
        lines.append("| " + " | ".join(map(_markdown_text, [*gathered.keys, "runs", *names])) + " |")
        lines.append("|" + "---|" * (len(gathered.keys) + 1 + len(names)))
        for group in ranking.groups:
            cells = [*group.shown, str(len(group.runs)), *(_cell(group, n) for n in names)]
            lines.append("| " + " | ".join(map(_markdown_text, cells)) + " |")
        lines.append("")
    lines += [f"{_markdown_text(sentence)}\n" for sentence in found_by_search(gathered)]
    lines += [
        _markdown_text(f"- {run.state}: {run.folder.name} {run.label} {run.error or ''}".rstrip())
        for run in gathered.runs
        if not run.done or run.error
    ]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_text(text: str) -> str:
    """Escape text so that Markdown sees no columns, links or HTML in it."""
    return html.escape(printable(text), quote=False).replace("|", "\\|").replace("](", "]\\(")


def damage_lines(gathered: Gathered) -> list[str]:
    """Return a sentence for each run that has a damaged file."""
    damaged = [run for run in gathered.runs if run.state == DAMAGED or (run.done and run.error)]
    return [f"damaged {run.folder.name}: {run.error}" for run in damaged]


def notes(found: Sequence[Ranking]) -> list[str]:
    """Return what a reader needs to know about the metrics."""
    if not found:
        return ["No run has finished yet."]
    said = [
        f"Mean ± standard deviation over seeds, {found[0].split} split{_units(found)}; the ELBO is at β = 1, whatever β the run "
        f"was trained with; {_order(found)}."
    ]
    if len(found) > 1:
        said.append("Metrics of different data, likelihoods or binarisations cannot be compared, so each has its own table.")
    repeats = sum(ranking.repeats for ranking in found)
    if repeats:
        said.append(f"Left out, because they repeat the settings and seed of an earlier run: {repeats}.")
    return said


def _units(found: Sequence[Ranking]) -> str:
    """`, in nats per image`; names the metrics that have another unit or none, if there are any."""
    names = dict.fromkeys(name for ranking in found for name in columns(ranking))
    units: dict[str, list[str]] = {}
    for name in names:
        units.setdefault(unit_of(name), []).append(name)
    others = [f"{', '.join(units[unit])} {words}" for unit, words in _OTHER_UNITS.items() if unit in units]
    nats = ", in nats per image" if "nats" in units else ""
    return nats + (f" ({'; '.join(others)})" if others else "")


def _order(found: Sequence[Ranking]) -> str:
    metric = found[0].metric
    if any(metric in group.metrics for ranking in found for group in ranking.groups):
        return f"best {metric} first"
    return f"no run has {metric}, so they are in the order of the jobs"


def heading(ranking: Ranking, most: int = MAX_GROUPS) -> str:
    """Return the title of the terminal's table."""
    return ranking.kind + (f" (best {most} of {len(ranking.groups)})" if len(ranking.groups) > most else "")


def terminal_table(ranking: Ranking, keys: Sequence[str], most: int = MAX_GROUPS) -> Table:
    """Make a table of the best groups with the main metrics."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in columns(ranking) if name in (*SWEEP_TABLE, ranking.metric)]
    for key in keys:
        table.add_column(escape(printable(key)))
    for name in ("runs", *names):
        table.add_column(escape(printable(name)), justify="right", no_wrap=True)
    for group in ranking.groups[:most]:
        table.add_row(*(escape(printable(text)) for text in group.shown), str(len(group.runs)), *(_cell(group, n) for n in names))
    return table


def _cell(group: Group, name: str) -> str:
    return group.metrics[name].text() if name in group.metrics else "–"
