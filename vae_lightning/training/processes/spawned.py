"""DDP in worker processes that are forked or spawned (`ddp_fork`, `ddp_spawn`): a failure is reported once, by the main process.

`prepare_launcher` does the same for plain `ddp`, see `relaunched.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from vae_lightning.subnormals import flush_subnormals
from vae_lightning.training.loggers import TensorBoard
from vae_lightning.training.private_apis import WorkerLauncher, forks_or_spawns, reruns_the_command, set_launcher
from vae_lightning.training.processes.faults import ProcessLost, explain_faults
from vae_lightning.training.processes.interrupts import interrupts
from vae_lightning.training.processes.relaunched import Relauncher

PATIENCE = 20.0  # seconds; the main process notices a dead worker at once, unless the machine is overloaded


class Launcher(WorkerLauncher):
    """Lightning's launcher, except that a worker process ends with a one-sentence error if the machine was at fault."""

    folder: Path

    def launch(self, function: Callable[..., Any], *arguments: Any, trainer: Trainer | None = None, **keywords: Any) -> Any:
        return super().launch(partial(run_worker, self.folder, function), *arguments, trainer=trainer, **keywords)


def run_worker(folder: Path, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call `function` in a worker process and explain its faults.

    The main process reports the first worker that it finds dead. When one dies, the others lose their connection to it. They
    wait until the main process has found it and ends them, so that it reports the cause rather than the lost connection.
    """
    try:
        with flush_subnormals(), explain_faults(folder), explain_faults(folder):  # twice, see `training.fit`
            return function(*arguments, **keywords)
    except ProcessLost:
        end = time.monotonic() + PATIENCE
        while interrupts.received is None and time.monotonic() < end:
            time.sleep(0.05)
        raise


def prepare_launcher(trainer: Trainer, folder: Path) -> None:
    """If training runs in several processes, install our launcher and close the files that processes cannot share."""
    launcher = trainer.strategy.launcher
    ours: Launcher | Relauncher
    if forks_or_spawns(launcher):
        ours = Launcher.replacing(trainer.strategy)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoard):
                logger.close_before_fork()
    elif reruns_the_command(launcher):
        ours = Relauncher.replacing(trainer.strategy)
    else:
        return
    ours.folder = folder
    set_launcher(trainer.strategy, ours)
