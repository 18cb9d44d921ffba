"""What the sweepers have in common: the record on disk, launching, interruption and the final report. Imports no torch."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from vae_lightning.config.flags import config_flags
from vae_lightning.errors import RunError, UserError, check_bool, plural, printable
from vae_lightning.files import try_lock
from vae_lightning.runs.sweep_record import DAMAGED, Job, Sweep, is_sweep, load
from vae_lightning.runs.trust import check_folder
from vae_lightning.sweeps.foreign import check_foreign_sweep, check_sweep_folder
from vae_lightning.sweeps.launch import failures, launch, refuse_if_running
from vae_lightning.sweeps.progress_display import ProgressDisplay, failure_lines

LOCK = "sweep.lock"
NOT_RECORDED = ("hydra.sweep.dir=", "hydra.mode=", "hydra/job_logging=", "hydra/hydra_logging=")


class JobsFailed(RunError):
    """Some jobs of a sweep failed; the others have run. `vl.sweep` sets `runs` to the runs that were trained."""

    runs: Sequence[Any] = ()


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a sweep, after its record was written."""


class RecordedSweeper(Sweeper):
    """A sweep with a record on disk. Subclasses decide which jobs there are.

    Args:
        params: overrides by key; the command line takes precedence.
        report: whether to write the tables and the page at the end.
    """

    def __init__(self, params: dict[str, str] | None = None, report: bool = True) -> None:
        self.params, self.report = params or {}, report
        self.notes: list[str] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra passes before it calls `sweep`."""
        self.composed, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep that the overrides of the command line describe; Hydra calls this. It exits as `with_messages` does."""
        from vae_lightning.config.messages import with_messages

        def run() -> None:
            try:
                self.run_sweep(arguments, config_flags(sys.argv[1:]))
            except SweepInterrupted as interruption:
                sys.exit(exit_status(interruption))

        with_messages(run)

    def run_sweep(self, arguments: list[str], flags: Sequence[str] = ()) -> None:
        """Run the sweep.

        Args:
            arguments: the overrides.
            flags: the flags that say where the configuration is, see `config_flags`.

        Raises:
            UserError: these overrides cannot be swept.
            JobsFailed: some jobs failed; all have run.
            SweepInterrupted: after Ctrl-C or SIGTERM.
        """
        overrides = self.overrides(arguments)
        self.check(overrides)
        folder = Path(self.composed.hydra.sweep.dir).absolute()
        console = Console(highlight=False)
        check_sweep_folder(folder)
        with try_lock(folder / LOCK) as free:
            if not free:
                raise RunError(f"The sweep {folder} is already running in another process.")
            self.open(folder, flags)
            for note in self.notes:
                console.print(escape(printable(note)), soft_wrap=True)
            console.print(f"sweep {escape(printable(os.path.relpath(folder)))}", soft_wrap=True)
            try:
                with terminable(), ProgressDisplay(self.record, self.total(overrides), console) as display:
                    self.run(overrides)
            except KeyboardInterrupt as interruption:
                command = f"python train.py {resume_argument(folder)}"
                console.print(f"interrupted; resume with: {escape(printable(command))}", soft_wrap=True)
                raise SweepInterrupted from interruption
        self.close(console, display.printed)

    def open(self, folder: Path, flags: Sequence[str]) -> None:
        """Start a new record, or reopen the one that this same command line started.

        Raises:
            UserError: the folder holds a sweep started with a different command.
            RunError: its jobs are still running.
        """
        given = [*self.composed.hydra.overrides.hydra, *self.composed.hydra.overrides.task]
        arguments = [*flags, *(a for a in given if not a.startswith(NOT_RECORDED))]
        if is_sweep(folder):
            self.record = load(folder, "hydra.sweep.dir")
            check_foreign_sweep(self.record, "hydra.sweep.dir")
            if without_launch_settings(self.record.arguments) != without_launch_settings(arguments):
                raise UserError(
                    f"hydra.sweep.dir={folder}: this folder already holds a sweep started with a different command "
                    f"({' '.join(self.record.arguments)}); choose another, or resume that one with {resume_argument(folder)}."
                )
            refuse_if_running(self.record)
            for job in self.record.jobs:
                self._reopen(job)
        else:
            self.record = Sweep(folder, arguments)
        if self.record.trusted:
            self.record.trust()  # so that the processes of its jobs trust it even if it cannot be signed
        self.record.save()

    def _reopen(self, job: Job) -> None:
        """Give a job of an earlier start the state in which it waits for its turn, and say so if its file is damaged."""
        state = self.record.true_state(job)["state"]
        if state == DAMAGED:
            self.notes.append(self.record.set_damaged_aside(job))
        elif state == "failed":
            try:
                self.record.reset(job)
            except RunError as error:
                self.record.set_state(job, "failed", error=str(error))
        else:
            # an interrupted job waits for its turn and keeps its folder
            self.record.set_state(job, "waiting" if state == "interrupted" else state)

    def overrides(self, arguments: Sequence[str]) -> dict[str, Override]:
        """Return the parsed overrides by key; the last one for a key wins, so the command line overrides `params`."""
        texts = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        return {override.get_key_element(): override for override in parser.parse_overrides(texts)}

    def check(self, overrides: dict[str, Override]) -> None:
        """Raise UserError if this sweeper cannot run these overrides."""
        check_bool("hydra.sweeper.report", self.report)

    @abstractmethod
    def total(self, overrides: dict[str, Override]) -> int:
        """Return the number of jobs that the sweep will have."""

    @abstractmethod
    def run(self, overrides: dict[str, Override]) -> None:
        """Add the missing jobs to the record and launch all that are not finished."""

    def launch(self, jobs: Sequence[Job]) -> None:
        """Save the record and run these jobs. A job whose folder has links to outside, or special files, fails at once."""
        self.record.save()
        ready = []
        for job in jobs:
            try:
                check_folder(self.record.inside(self.record.folder / job.folder))
            except UserError as error:
                self.record.set_state(job, "failed", error=str(error))
            else:
                ready.append(job)
        launch(self.launcher, self.record, ready)

    def close(self, console: Console, printed: Collection[int] = ()) -> None:
        """Print the summary and the failures that were not `printed` yet, by number. A sweep of dry runs leaves no files.

        Raises:
            JobsFailed: some jobs failed.
        """
        self.record.save()
        failed = failures(self.record)
        if OmegaConf.select(self.composed, "trainer.fast_dev_run"):
            import shutil

            shutil.rmtree(self.record.folder, ignore_errors=True)
        elif self.report and any(self.record.state(job)["state"] == "done" for job in self.record.jobs):
            from vae_lightning.reports.sweep.write_report import write_report

            write_report([self.record.folder], console)

        if not failed:
            return
        for line in failure_lines([(job, state) for job, state in failed if job.number not in printed]):
            console.print(line, soft_wrap=True)
        counted = f"{len(failed)} of {plural(len(self.record.jobs), 'job')} failed"
        again = f"run them again with {resume_argument(self.record.folder)}"
        if all(state.get("misconfigured") for _, state in failed):
            raise JobsFailed(
                f"{counted} because of their settings or data: start a new sweep, or if only data were missing, {again}."
            )
        raise JobsFailed(f"{counted}; {again}.")


def without_launch_settings(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that define the jobs; `hydra.…` defines how they are launched, which may change between starts."""
    return [argument for argument in arguments if not argument.lstrip("+~").startswith(("hydra.", "hydra/"))]


def resume_argument(folder: Path) -> str:
    """Return `resume_sweep=<folder>`, quoted for a shell."""
    return shlex.quote(f"resume_sweep={os.path.relpath(folder)}")


def label_of(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """Join the overrides of the swept keys, numbers to four digits: `model=conv beta=4`."""
    pairs = [text.lstrip("+").split("=", 1) for text in overrides if text.partition("=")[0] in swept]
    return " ".join(f"{key}={short(value)}" for key, value in pairs)


def short(value: str) -> str:
    """Shorten a number: `0.00139` for `0.0013903843190577378`."""
    try:
        return f"{float(value):.4g}" if len(value) > 6 else value
    except ValueError:
        return value


def check_swept(overrides: dict[str, Override], allowed: Callable[[Override], bool], hint: str) -> None:
    """Raise UserError with the hint for a swept key whose values are not `allowed`."""
    for override in overrides.values():
        if override.is_sweep_override() and not allowed(override):
            raise UserError(f"{override.input_line}: {hint}")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a sweep like Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception during a sweep; while a model trains in this process, `interrupts` takes over."""
    if threading.current_thread() is not threading.main_thread():  # Python allows setting signal handlers only in the main thread
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_status(interruption: BaseException) -> int:
    """Return the exit status by the shell's convention: 143 for SIGTERM, which a job may get first, and 130 for Ctrl-C."""
    cause: BaseException | None = interruption
    while cause is not None:
        if isinstance(cause, Terminated) or (isinstance(cause, SystemExit) and cause.code == 128 + signal.SIGTERM):
            return 128 + signal.SIGTERM
        cause = cause.__cause__
    return 128 + signal.SIGINT
