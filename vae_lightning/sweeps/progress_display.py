"""Shows the progress of a sweep from the files of its jobs, so that it works with every launcher."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vae_lightning.errors import printable
from vae_lightning.evaluation.metrics import digits_of, score_metric
from vae_lightning.runs.sweep_record import ENDED, Job, JobState, Sweep

COLOURS = {"done": "green", "failed": "red", "pruned": "yellow", "interrupted": "yellow", "running": "cyan", "waiting": "dim"}


class ProgressDisplay:
    """A context manager that prints what happens to each job and keeps `sweep.json` up to date.

    On a terminal it shows a table of the jobs and a progress bar; elsewhere it prints a line when a job starts or ends.

    Args:
        sweep: the record.
        total: the number of jobs that the sweep will have.
        console: where to print.
        seconds: the interval between two looks at the files.
    """

    def __init__(self, sweep: Sweep, total: int, console: Console | None = None, seconds: float = 0.5) -> None:
        self.sweep, self.total, self.seconds = sweep, total, seconds
        self.console = console or Console(highlight=False)
        self._states: dict[int, JobState] = {}
        self.printed: set[int] = set()  # the numbers of the jobs that were said to have failed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweep-progress", daemon=True)
        self._live = Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None

    def __enter__(self) -> ProgressDisplay:
        self.update(quiet=True)
        self._started, self._initial_fraction = time.monotonic(), self.fraction()
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._thread.join()
        self.update()
        if self._live is not None:
            self._live.stop()

    def _loop(self) -> None:
        while not self._closing.wait(self.seconds):
            self.update()

    def update(self, quiet: bool = False) -> None:
        """Read the states of the jobs that have not ended and print what changed."""
        changed = False
        for job in list(self.sweep.jobs):
            before = self._states.get(job.number, {"state": "waiting"})
            if before["state"] in ENDED and not quiet:
                continue
            now = self.sweep.state(job)
            self._states[job.number] = now
            if now["state"] != before["state"]:
                changed = True
                if not quiet:
                    self._print(job, now)
        if changed:
            self.sweep.save()
        if self._live is not None and self._live.is_started:
            self._live.update(self.table(), refresh=True)

    def _print(self, job: Job, state: JobState) -> None:
        if state["state"] == "running" and self.console.is_terminal:
            return  # the table shows it
        self.console.print(self.line(job, state), soft_wrap=True)
        if state["state"] == "failed":
            self.printed.add(job.number)

    def line(self, job: Job, state: JobState) -> str:
        """Describe a job, `[3/12] 002 done  beta=4 seed=0  elbo -105.21  12 s`, and the time left for the whole sweep."""
        name, colour = escape(printable(str(state["state"]))), COLOURS.get(state["state"], "dim")
        counter = f"[dim]\\[{self.ended()}/{self.total}][/dim]"
        parts = [f"{counter} {job.number:03d} [{colour}]{name}[/{colour}]", escape(printable(job.label))]
        if state["state"] in ENDED:
            parts += [score_text(state), f"{state.get('seconds', 0):.0f} s"]
            left = self.seconds_left()
            parts += [f"[dim]{duration(left)} left[/dim]"] if left else []
        if state.get("error"):
            parts.append(f"[red]{escape(printable(str(state['error'])))}[/red]")
        return "  ".join(part for part in parts if part)

    def table(self) -> Group:
        """Return the running jobs, as many as fit on the terminal, and a progress bar for the whole sweep."""
        grid = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
        for name in ("job", "state", "overrides", "epoch", "score", "left"):
            grid.add_column(name, overflow="ellipsis", no_wrap=True)
        rows = max(3, self.console.size.height - 6)
        running = [job for job in self.sweep.jobs if self._states.get(job.number, {}).get("state") == "running"]
        for job in running[:rows]:
            state = self._states[job.number]
            epoch = f"{state.get('epoch', 0)}/{state.get('epochs') or '?'}"
            label = Text(printable(job.label))
            grid.add_row(f"{job.number:03d}", Text("running", "cyan"), label, epoch, score_text(state), duration(job_left(state)))
        bar = Table.grid(padding=(0, 2))
        failed = sum(state["state"] == "failed" for state in self._states.values())
        words = f"{self.ended()} of {self.total} jobs" + (f", {failed} failed" if failed else "")
        bar.add_row(ProgressBar(total=1.0, completed=self.fraction(), width=32), words, f"{duration(self.seconds_left())} left")
        return Group(grid, bar)

    def ended(self) -> int:
        """Return the number of jobs that are done, pruned or failed."""
        return sum(state["state"] in ENDED for state in self._states.values())

    def fraction(self) -> float:
        """Return the finished fraction of the whole sweep, including the epochs of running jobs."""
        parts = [1.0 if s["state"] in ENDED else job_fraction(s) for s in self._states.values()]
        return min(1.0, sum(parts) / max(1, self.total))

    def seconds_left(self) -> float | None:
        """Return the estimated time left for the whole sweep; None if unknown."""
        gained = self.fraction() - self._initial_fraction
        return None if gained <= 0 else (time.monotonic() - self._started) * (1 - self.fraction()) / gained


def job_fraction(state: JobState) -> float:
    """Return the finished fraction of a running job's epochs."""
    epochs = state.get("epochs")
    if state["state"] != "running" or not epochs:
        return 0.0
    return min(1.0, state.get("epoch", 0) / epochs)


def job_left(state: JobState) -> float | None:
    """Return the estimated seconds left for a running job; None if unknown."""
    done = job_fraction(state)
    return None if done == 0 else state.get("trained_seconds", 0.0) * (1 - done) / done


def score_text(state: JobState) -> str:
    """`elbo -105.21`: the latest validation ELBO, or what a model without one is judged by; empty if there is none."""
    values = state.get("metrics", {}).get("val", {})
    name = score_metric(values)
    return "" if name is None or values[name] is None else f"{name} {values[name]:.{digits_of(name)}f}"


def duration(seconds: float | None) -> str:
    """Format a duration: `42 s`, `3 min`, `2.5 h`."""
    if seconds is None:
        return "…"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def failure_lines(failed: Sequence[tuple[Job, JobState]]) -> list[str]:
    """Return a line for each failed job: its folder, overrides and error."""
    return [
        f"[red]failed[/red] {job.folder}  {escape(printable(job.label))}  {escape(printable(str(state.get('error'))))}"
        for job, state in failed
    ]
