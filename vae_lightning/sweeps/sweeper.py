"""What Hydra's sweepers of this framework have in common, and how Hydra finds them. Imports no torch."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
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

from vae_lightning.config.command_line import config_flags
from vae_lightning.errors import RunError, UserError, check_bool
from vae_lightning.files import try_lock
from vae_lightning.runs.sweep_record import Job, Sweep, is_sweep, load
from vae_lightning.sweeps.launch import failures, launch, refuse_if_running
from vae_lightning.sweeps.watch import Watch, closing_lines

LOCK = "sweep.lock"


class RecordedSweeper(Sweeper):
    """A sweep with a record on disk. Subclasses say which jobs there are, in `jobs`.

    params: overrides by key, as on the command line, which wins. report: whether tables and the page are made at the end.
    """

    def __init__(self, params: dict[str, str] | None = None, report: bool = True) -> None:
        self.params, self.report = params or {}, report

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.composed, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from vae_lightning.config.messages import with_messages

        with_messages(lambda: self._sweep(arguments))

    def _sweep(self, arguments: list[str]) -> None:
        overrides = self.overrides(arguments)
        self.check(overrides)
        folder = Path(self.composed.hydra.sweep.dir).absolute()
        console = Console(highlight=False)
        with try_lock(folder / LOCK) as free:
            if not free:
                raise RunError(f"The sweep {folder} is running still, in another process.")
            self.open(folder)
            console.print(f"sweep {escape(os.path.relpath(folder))}", soft_wrap=True)
            try:
                with terminable(), Watch(self.record, self.total(overrides), console) as watch:
                    self.run(overrides, watch)
            except KeyboardInterrupt as interruption:
                console.print(f"interrupted; it goes on by: python train.py {escape(resuming(folder))}", soft_wrap=True)
                sys.exit(exit_status(interruption))
        self.close(console)

    def open(self, folder: Path) -> None:
        """A new record, or the one that this very command line began. UserError where another one did."""
        given = [*self.composed.hydra.overrides.hydra, *self.composed.hydra.overrides.task]
        arguments = [*config_flags(sys.argv[1:]), *(a for a in given if not a.startswith(("hydra.sweep.dir=", "hydra.mode=")))]
        if is_sweep(folder):
            self.record = load(folder, "hydra.sweep.dir")
            if swept_by(self.record.arguments) != swept_by(arguments):
                raise UserError(
                    f"hydra.sweep.dir={folder}: another command line's sweep lies there ({' '.join(self.record.arguments)}); "
                    f"take another folder, or go on with that sweep by {resuming(folder)}."
                )
            refuse_if_running(self.record)
            for job in self.record.jobs:
                state = self.record.true_state(job)["state"]
                if state == "failed":
                    self.record.reset(job)
                else:
                    # an interrupted one waits for its turn, and its folder stays
                    self.record.set_state(job, "waiting" if state == "interrupted" else state)
        else:
            self.record = Sweep(folder, arguments)
        self.record.save()

    def overrides(self, arguments: Sequence[str]) -> dict[str, Override]:
        """The parsed overrides by key; of two with the same key the last one, which is the command line's."""
        texts = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        return {override.get_key_element(): override for override in parser.parse_overrides(texts)}

    def check(self, overrides: dict[str, Override]) -> None:
        """UserError where this sweeper cannot do what is asked."""
        check_bool("hydra.sweeper.report", self.report)

    @abstractmethod
    def total(self, overrides: dict[str, Override]) -> int:
        """The number of jobs that there will be."""

    @abstractmethod
    def run(self, overrides: dict[str, Override], watch: Watch) -> None:
        """Adds the missing jobs to the record and launches all that have not ended."""

    def launch(self, jobs: Sequence[Job]) -> None:
        self.record.save()
        launch(self.launcher, self.record, jobs)

    def close(self, console: Console) -> None:
        """The summary, the failures and the exit status. A sweep of dry runs leaves nothing."""
        self.record.save()
        failed = failures(self.record)
        if OmegaConf.select(self.composed, "trainer.fast_dev_run"):
            import shutil

            shutil.rmtree(self.record.folder, ignore_errors=True)
        elif self.report and any(self.record.state(job)["state"] == "done" for job in self.record.jobs):
            from vae_lightning.reports.sweep.write_report import write_report

            write_report([self.record.folder], console)

        for line in closing_lines(self.record, failed):
            console.print(line, soft_wrap=True)
        if failed:
            again = resuming(self.record.folder)
            raise RunError(f"{len(failed)} of {len(self.record.jobs)} jobs failed; {again} runs them again.")


def swept_by(arguments: Sequence[str]) -> list[str]:
    """What makes the jobs; how they are launched, which `hydra.…` says, may change from one start to the next."""
    return [argument for argument in arguments if not argument.lstrip("+~").startswith(("hydra.", "hydra/"))]


def resuming(folder: Path) -> str:
    """As a shell takes it."""
    return shlex.quote(f"resume_sweep={os.path.relpath(folder)}")


def label_of(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """`model=conv beta=4`: the overrides of the keys that are swept, numbers to four digits."""
    pairs = [text.lstrip("+").split("=", 1) for text in overrides if text.partition("=")[0] in swept]
    return " ".join(f"{key}={short(value)}" for key, value in pairs)


def short(value: str) -> str:
    """`0.00139` for `0.0013903843190577378`."""
    try:
        return f"{float(value):.4g}" if len(value) > 6 else value
    except ValueError:
        return value


def check_swept(overrides: dict[str, Override], allowed: Callable[[Override], bool], hint: str) -> None:
    for override in overrides.values():
        if override.is_sweep_override() and not allowed(override):
            raise UserError(f"{override.input_line}: {hint}")


def register(name: str, sweeper: Callable[..., Any]) -> None:
    """Makes a sweeper known to Hydra, which looks for plugins in packages named hydra_plugins only.

    It is then `_target_: hydra_plugins.vae_lightning.<name>`, and its class stays importable by its own name.
    """
    Plugins.instance().class_name_to_class[f"hydra_plugins.vae_lightning.{name}"] = sweeper  # type: ignore[assignment]


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a sweep as Ctrl-C does."""


@contextmanager
def terminable() -> Iterator[None]:
    """For the time of a sweep; while a model trains in this process, `interrupts` takes over."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
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
    """As shells have it: 143 for SIGTERM, which may have come to a job first, 130 for Ctrl-C."""
    asked: BaseException | None = interruption
    while asked is not None:
        if isinstance(asked, Terminated) or (isinstance(asked, SystemExit) and asked.code == 128 + signal.SIGTERM):
            return 128 + signal.SIGTERM
        asked = asked.__cause__
    return 128 + signal.SIGINT
