"""The answer as text: the tables in the terminal and as Markdown, and a row for each job as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from vae_lightning.reports.sweep.gather import Gathered
from vae_lightning.reports.sweep.ranking import Group, Ranking, columns
from vae_lightning.reports.sweep.search_result import found_by_search

FRONT = ("elbo", "bound", "nll", "reconstruction", "kl", "active_units")  # in the terminal
MOST_GROUPS = 20


def summary_csv(gathered: Gathered) -> str:
    """A row for each job: where it is, what became of it, the swept keys, and every figure as `<split>/<name>`."""
    names = [(split, name) for split in ("test", "val") for name in gathered.metric_names(split)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["sweep", "folder", "state", *gathered.swept, "comparable", *(f"{s}/{n}" for s, n in names), "seconds", "error"]
    )
    for run in gathered.runs:
        settings = [run.settings.get(key) for key in gathered.swept]
        figures = [run.metrics.get(split, {}).get(name, "") for split, name in names]
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
            cells = [*group.shown, str(len(group.runs)), *(_cell(group, n) for n in names)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += [f"{sentence}\n" for sentence in found_by_search(gathered)]
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
    repeats = sum(ranking.repeats for ranking in found)
    if repeats:
        said.append(f"Finished runs that repeat the settings and the seed of an earlier one, and are left out: {repeats}.")
    return said


def _order(found: Sequence[Ranking]) -> str:
    metric = found[0].metric
    if any(metric in group.metrics for ranking in found for group in ranking.groups):
        return f"best {metric} first"
    return f"no run has {metric}, so they are in the order of the jobs"


def heading(ranking: Ranking, most: int = MOST_GROUPS) -> str:
    """What the terminal's table is of."""
    return ranking.kind + (f" (best {most} of {len(ranking.groups)})" if len(ranking.groups) > most else "")


def terminal_table(ranking: Ranking, keys: Sequence[str], most: int = MOST_GROUPS) -> Table:
    """The best groups with the figures that are looked at first."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in columns(ranking) if name in (*FRONT, ranking.metric)]
    for key in keys:
        table.add_column(escape(key))
    for name in ("runs", *names):
        table.add_column(name, justify="right", no_wrap=True)
    for group in ranking.groups[:most]:
        table.add_row(*map(escape, group.shown), str(len(group.runs)), *(_cell(group, n) for n in names))
    return table


def _cell(group: Group, name: str) -> str:
    return group.metrics[name].text() if name in group.metrics else "–"
