"""Summarises sweeps: tables in the terminal, `summary.csv`, `summary.md` and `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vae_lightning.errors import RunError, printable
from vae_lightning.files import write_text
from vae_lightning.reports.sweep.gather import Gathered, gather
from vae_lightning.reports.sweep.image_strips import Strips, image_strips
from vae_lightning.reports.sweep.page import page
from vae_lightning.reports.sweep.ranking import DEFAULT, Ranking, rankings
from vae_lightning.reports.sweep.search_result import found_by_search
from vae_lightning.reports.sweep.summary import damage_lines, heading, markdown, notes, summary_csv, terminal_table
from vae_lightning.runs.console import describe_paths
from vae_lightning.runs.load_images import Moved

STRIP_RUNS = 48


def write_report(
    folders: Sequence[Path],
    console: Console,
    into: Path | None = None,
    metric: str = DEFAULT,
    split: str = "test",
    direction: str | None = None,
    images: int = 8,
    moved: Moved = None,
) -> list[Ranking]:
    """Print the summary of one or more sweeps and write its files.

    Args:
        folders: the sweeps.
        console: where to print.
        into: the folder for the files; by default that of the first sweep.
        metric: the metric to rank by.
        split: `val` or `test`.
        direction: `max` or `min`; None for the metric's usual direction.
        images: the number of reconstructions and of samples of each run; 0 for none.
        moved: where the data are now, see `runs.load_images.load_data`.

    Raises:
        UserError: a folder is not a sweep, or the metric or its direction is unknown.
    """
    if not console.is_terminal:
        console.width = max(console.width, 160)
    gathered = gather(folders)
    found = rankings(gathered, metric, split, direction)
    show(found, gathered, console)
    into = into or gathered.sweeps[0].folder
    pictures = {ranking.kind: strips_of(ranking, images, moved) for ranking in found}
    texts = {
        "summary.csv": summary_csv(gathered),
        "summary.md": markdown(found, gathered),
        "report.html": page(gathered, found, pictures, charts_of_searches(gathered)),
    }
    write_texts(texts, into)
    console.print(
        describe_paths([("summary", into / "summary.csv"), ("table", into / "summary.md"), ("page", into / "report.html")]),
        soft_wrap=True,
    )
    return found


def show(found: Sequence[Ranking], gathered: Gathered, console: Console) -> None:
    """Print the tables, and what is to be known of them."""
    for note in notes(found):
        console.print(f"[dim]{escape(printable(note))}[/dim]", soft_wrap=True)
    for ranking in found:
        console.print(f"[bold]{escape(printable(heading(ranking)))}[/bold]", soft_wrap=True)
        console.print(terminal_table(ranking, gathered.keys))
    for sentence in found_by_search(gathered):
        console.print(escape(printable(sentence)), soft_wrap=True)
    for line in damage_lines(gathered):
        console.print(f"[yellow]{escape(printable(line))}[/yellow]", soft_wrap=True)


def write_texts(texts: Mapping[str, str], into: Path) -> None:
    """Write files by name into a folder, which is made. Raise RunError if it cannot be written to."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(into / name, text)
    except OSError as error:
        raise RunError(
            f"The report cannot be written to {into} ({error.strerror}): free some space there, or write it elsewhere with "
            "report.py sweep=… folder=…."
        ) from error


def strips_of(ranking: Ranking, images: int, moved: Moved) -> Strips | None:
    """Draw image strips of the best runs, as many as fit on a page; None for `images` = 0."""
    runs = [run for group in ranking.groups for run in group.runs][:STRIP_RUNS]
    return image_strips([(run.label or run.folder.name, run.folder) for run in runs], images, moved) if images > 0 else None


def charts_of_searches(gathered: Gathered) -> dict[str, str]:
    """Return the charts of every search among the sweeps: SVG by title; empty if Optuna is not installed."""
    searches = [sweep for sweep in gathered.sweeps if sweep.search is not None]
    if not searches:
        return {}
    try:
        from vae_lightning.reports.sweep.search_charts import search_charts
    except ModuleNotFoundError:
        return {}
    several = len(searches) > 1
    found: dict[str, str] = {}
    for sweep in searches:
        try:
            drawn = search_charts(sweep)
        except Exception:  # the study that Optuna reads may hold anything
            drawn = {}
        found |= {(f"{sweep.folder.name}: {title}" if several else title): svg for title, svg in drawn.items()}
    return found
