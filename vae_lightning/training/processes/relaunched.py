"""Plain `ddp` runs the command again for each other process: a failure in one is reported once, by the main process.

Each other process writes its error message to a file in the run folder. The main process watches the others. When it loses the
connection to one, or waits for one that has died, it prints that message or says how the process ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from vae_lightning.errors import INTERRUPTED_STATUS as INTERRUPTED
from vae_lightning.errors import RunError, UserError
from vae_lightning.files import write_json
from vae_lightning.runs.folder import remove_if_never_trained
from vae_lightning.training.private_apis import ScriptLauncher
from vae_lightning.training.processes.faults import ProcessLost, explain_faults, resume_hint
from vae_lightning.training.processes.lifetime import FIRST, end_without_shutdown

ERROR_FILE = ".error_of_process_"
PATIENCE = 10.0  # seconds for a failed process to end and the main process to notice


class Relauncher(ScriptLauncher):
    """Lightning's launcher, except that the main process says why another one died; Lightning kills it without a message."""

    folder: Path

    def launch(self, function: Callable[..., Any], *arguments: Any, trainer: Trainer | None = None, **keywords: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if self.cluster_environment.creates_processes_externally:
            return function(*arguments, **keywords)
        os.environ[FIRST] = str(os.getpid())
        self._remove_error_files()  # those of an earlier start
        self.start_processes()
        with self._watched():
            try:
                with explain_faults(self.folder), explain_faults(self.folder):  # twice: see `training.fit`
                    return function(*arguments, **keywords)
            except ProcessLost:
                self._wait_for_a_failure()
                raise self._cause() from None
            except BaseException:
                self._kill_the_others()
                raise

    @contextmanager
    def _watched(self) -> Iterator[None]:
        done = threading.Event()
        threading.Thread(target=self._watch, args=(done,), daemon=True, name="watch-processes").start()
        try:
            yield
        finally:
            done.set()

    def _watch(self, done: threading.Event) -> None:
        """End the run if another process has failed while this one waits for it, where no exception can reach it."""
        while not done.wait(0.2):
            failed = self._failed()
            if failed and not done.wait(min(2.0, PATIENCE) if INTERRUPTED in failed.values() else PATIENCE):
                fault = self._cause()
                sys.stdout.flush()
                sys.stderr.write(f"error: {fault}\n")
                sys.stderr.flush()
                remove_if_never_trained(self.folder)
                os._exit(fault.status)

    def _failed(self) -> dict[int, int]:
        """Return, by rank, the exit status of each other process that failed."""
        return {rank: status for rank, process in enumerate(self.procs, 1) if (status := process.poll())}

    def _wait_for_a_failure(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self._failed() and time.monotonic() < end:
            time.sleep(0.05)

    def _cause(self) -> UserError:
        """Kill the other processes, and return the error that one of them left, or else say how one ended."""
        failed = self._failed()
        errors = [error for rank in range(1, self.num_processes) if (error := _error_of(rank, self.folder)) is not None]
        self._kill_the_others()
        if INTERRUPTED in failed.values():  # this process was interrupted too, but does not notice while it waits for the others
            return UserError("interrupted.", INTERRUPTED)
        ended = ", ".join(f"process {rank} {_ending(status)}" for rank, status in failed.items())
        lost = RunError(f"A process of the run died ({ended or 'the connection to it was lost'}).{resume_hint(self.folder)}")
        return errors[0] if errors else lost

    def _kill_the_others(self) -> None:
        """Kill the other processes at once; otherwise they would wait for this one or report the same error."""
        for process in self.procs:
            process.kill()
            process.wait()
        self._remove_error_files()

    def _remove_error_files(self) -> None:
        for path in self.folder.glob(f"{ERROR_FILE}*"):
            path.unlink(missing_ok=True)


def _error_of(rank: int, folder: Path) -> UserError | None:
    try:
        error = json.loads((folder / f"{ERROR_FILE}{rank}").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return UserError(error["sentence"], error["status"])


def _ending(status: int) -> str:
    return f"terminated with signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


@contextmanager
def further_process(folder: Path) -> Iterator[None]:
    """Run the block in another process than the main one, with rank `LOCAL_RANK`, and end the process after it.

    Its error is written to a file for the main process, or raised if that fails.
    """
    try:
        yield
    except ProcessLost:
        raise SystemExit(1) from None  # the other process knows why
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        try:
            write_json(folder / f"{ERROR_FILE}{os.environ['LOCAL_RANK']}", {"sentence": str(error), "status": error.status})
        except OSError:
            raise error from None
        raise SystemExit(error.status) from None
    end_without_shutdown()
