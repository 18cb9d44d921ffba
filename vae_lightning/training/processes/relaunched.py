"""Plain DDP starts the command again for each further process: what goes wrong in one of them is said by the first, once.

A further process leaves its sentence in the run folder. The first looks after the others: where it loses the connection to one,
or waits for one that is gone, it says that sentence, or how the process ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from vae_lightning.errors import INTERRUPTED_STATUS as INTERRUPTED
from vae_lightning.errors import RunError, UserError
from vae_lightning.files import write_json
from vae_lightning.runs.folder import remove_if_never_trained
from vae_lightning.training.processes.faults import ProcessLost, explain_faults, resume_hint
from vae_lightning.training.processes.lifetime import FIRST

SAID = ".said_by_process_"
PATIENCE = 10.0  # seconds in which a process that failed is expected to end, and the first one to hear of it


class Relauncher(_SubprocessScriptLauncher):
    """Lightning's, which would kill the first process without a word where another one died."""

    folder: Path

    def launch(self, function: Any, *arguments: Any, trainer: Any = None, **keywords: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if self.cluster_environment.creates_processes_externally:
            return function(*arguments, **keywords)
        os.environ[FIRST] = str(os.getpid())
        self._forget()  # of an earlier start
        self._call_children_scripts()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        with self._looked_after():
            try:
                with explain_faults(self.folder), explain_faults(self.folder):  # twice: see `training.fit`
                    return function(*arguments, **keywords)
            except ProcessLost:
                self._wait_for_an_end()
                raise self._what_happened() from None
            except BaseException:
                self._end_the_others()
                raise

    @contextmanager
    def _looked_after(self) -> Iterator[None]:
        left = threading.Event()
        threading.Thread(target=self._look, args=(left,), daemon=True, name="look-after-processes").start()
        try:
            yield
        finally:
            left.set()

    def _look(self, left: threading.Event) -> None:
        """Ends the run where another process failed and this one still waits for it, where no exception reaches it."""
        while not left.wait(0.2):
            failed = self._failed()
            if failed and not left.wait(min(2.0, PATIENCE) if INTERRUPTED in failed.values() else PATIENCE):
                fault = self._what_happened()
                sys.stdout.flush()
                sys.stderr.write(f"error: {fault}\n")
                sys.stderr.flush()
                remove_if_never_trained(self.folder)
                os._exit(fault.status)

    def _failed(self) -> dict[int, int]:
        """The status of each further process that ended with one that is not 0, by rank."""
        return {rank: status for rank, process in enumerate(self.procs, 1) if (status := process.poll())}

    def _wait_for_an_end(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self._failed() and time.monotonic() < end:
            time.sleep(0.05)

    def _what_happened(self) -> UserError:
        """What another process said, else how one ended. None of them is left."""
        failed = self._failed()
        said = [fault for rank in range(1, self.num_processes) if (fault := _said_by(rank, self.folder)) is not None]
        self._end_the_others()
        if INTERRUPTED in failed.values():  # as this one is, which cannot hear of it while it waits for the others
            return UserError("interrupted.", INTERRUPTED)
        ended = ", ".join(f"process {rank} {_ending(status)}" for rank, status in failed.items())
        lost = RunError(f"A process of the run died ({ended or 'the connection to it was lost'}).{resume_hint(self.folder)}")
        return said[0] if said else lost

    def _end_the_others(self) -> None:
        """At once: they would wait for this one, or say the same."""
        for process in self.procs:
            process.kill()
            process.wait()
        self._forget()

    def _forget(self) -> None:
        for path in self.folder.glob(f"{SAID}*"):
            path.unlink(missing_ok=True)


def _said_by(rank: int, folder: Path) -> UserError | None:
    try:
        said = json.loads((folder / f"{SAID}{rank}").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return UserError(said["sentence"], said["status"])


def _ending(status: int) -> str:
    return f"terminated with signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


@contextmanager
def report_to_main_process(folder: Path) -> Iterator[None]:
    """In a further process, of rank `LOCAL_RANK`: leaves its sentence for the first to say; says it where it cannot."""
    try:
        yield
    except ProcessLost:
        raise SystemExit(1) from None  # the other one knows why
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        try:
            write_json(folder / f"{SAID}{os.environ['LOCAL_RANK']}", {"sentence": str(error), "status": error.status})
        except OSError:
            raise error from None
        raise SystemExit(error.status) from None
