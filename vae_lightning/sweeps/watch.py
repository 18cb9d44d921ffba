"""Watching a sweep from the outside, by the files of its jobs: the same for every launcher."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vae_lightning.runs.sweep_record import ENDED, Job, Sweep

COLOURS = {"done": "green", "failed": "red", "pruned": "yellow", "interrupted": "yellow", "running": "cyan", "waiting": "dim"}


class Watch:
    """While it is open, prints what becomes of each job and keeps `sweep.json` up to date.

    On a terminal: a table of the jobs and a bar for the whole; elsewhere a line whenever a job begins or ends. `total` is the
    number of jobs that there will be.
    """

    def __init__(self, sweep: Sweep, total: int, console: Console | None = None, seconds: float = 0.5) -> None:
        self.sweep, self.total, self.seconds = sweep, total, seconds
        self.console = console or Console(highlight=False)
        self._states: dict[int, dict[str, Any]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sweep-watch", daemon=True)
        self._live = Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None

    def __enter__(self) -> Watch:
        self.look(quiet=True)
        self._started, self._begun_with = time.monotonic(), self.fraction()
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._thread.join()
        self.look()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        while not self._closing.wait(self.seconds):
            self.look()

    def look(self, quiet: bool = False) -> None:
        """Reads the states of the jobs that have not ended."""
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
                    self.say(job, now)
        if changed:
            self.sweep.save()
        if self._live is not None and self._live.is_started:
            self._live.update(self.table(), refresh=True)

    def say(self, job: Job, state: dict[str, Any]) -> None:
        if state["state"] == "running" and self.console.is_terminal:
            return  # the table shows it
        self.console.print(self.line(job, state), soft_wrap=True)

    def line(self, job: Job, state: dict[str, Any]) -> str:
        """`[3/12] 002 done  beta=4 seed=0  elbo -105.21  12 s`, and how long the whole sweep will take."""
        name, colour = state["state"], COLOURS[state["state"]]
        parts = [f"[dim]\\[{self.ended()}/{self.total}][/dim] {job.number:03d} [{colour}]{name}[/{colour}]", escape(job.label)]
        if name in ENDED:
            parts += [figure(state), f"{state.get('seconds', 0):.0f} s"]
            left = self.seconds_left()
            parts += [f"[dim]{duration(left)} left[/dim]"] if left else []
        if state.get("error"):
            parts.append(f"[red]{escape(state['error'])}[/red]")
        return "  ".join(part for part in parts if part)

    def table(self) -> Group:
        """The running jobs, then the ones that ended last, as many as the terminal holds."""
        grid = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
        for name in ("job", "state", "overrides", "epoch", "elbo", "left"):
            grid.add_column(name, overflow="ellipsis", no_wrap=True)
        rows = max(3, self.console.size.height - 6)
        running = [job for job in self.sweep.jobs if self._states.get(job.number, {}).get("state") == "running"]
        for job in running[:rows]:
            state = self._states[job.number]
            epoch = f"{state.get('epoch', 0)}/{state.get('epochs') or '?'}"
            value = figure(state).removeprefix("elbo ")
            grid.add_row(f"{job.number:03d}", Text("running", "cyan"), Text(job.label), epoch, value, duration(job_left(state)))
        bar = Table.grid(padding=(0, 2))
        failed = sum(state["state"] == "failed" for state in self._states.values())
        words = f"{self.ended()} of {self.total} jobs" + (f", {failed} failed" if failed else "")
        bar.add_row(ProgressBar(total=1.0, completed=self.fraction(), width=32), words, f"{duration(self.seconds_left())} left")
        return Group(grid, bar)

    def ended(self) -> int:
        return sum(state["state"] in ENDED for state in self._states.values())

    def fraction(self) -> float:
        """The part of the whole sweep that is done, epochs of running jobs included."""
        parts = [1.0 if s["state"] in ENDED else progress(s) for s in self._states.values()]
        return min(1.0, sum(parts) / max(1, self.total))

    def seconds_left(self) -> float | None:
        gained = self.fraction() - self._begun_with
        return None if gained <= 0 else (time.monotonic() - self._started) * (1 - self.fraction()) / gained


def progress(state: dict[str, Any]) -> float:
    """The part of a running job's epochs that is done."""
    if state["state"] != "running" or not state.get("epochs"):
        return 0.0
    return min(1.0, float(state.get("epoch", 0)) / float(state["epochs"]))


def job_left(state: dict[str, Any]) -> float | None:
    done = progress(state)
    return None if done == 0 else float(state.get("trained_seconds", 0)) * (1 - done) / done


def figure(state: dict[str, Any]) -> str:
    """`elbo -105.21`: the last validation figure, in nats per image."""
    value = state.get("metrics", {}).get("val", {}).get("elbo")
    return "" if value is None else f"elbo {value:.2f}"


def duration(seconds: float | None) -> str:
    """`42 s`, `3 min`, `2.5 h`."""
    if seconds is None:
        return "…"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def closing_lines(sweep: Sweep, states: Sequence[tuple[Job, dict[str, Any]]]) -> list[str]:
    """A line for each job that failed: its folder, overrides and error."""
    return [f"[red]failed[/red] {job.folder}  {escape(job.label)}  {escape(str(state.get('error')))}" for job, state in states]
