"""The processes of DDP: what went wrong in one of them is said by the command, once. Here those that are forked or spawned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher

from vae_lightning.training.loggers import TensorBoard
from vae_lightning.training.processes.faults import ProcessLost, explain_faults
from vae_lightning.training.processes.interrupts import interrupts
from vae_lightning.training.processes.relaunched import Relauncher

PATIENCE = 20.0  # seconds; the command hears of a dead process at once, unless the machine is overloaded


class Launcher(_MultiProcessingLauncher):
    """Lightning's, whose processes end with a sentence where the machine was at fault.

    The command is told of the first process that it finds dead. Where one dies, the others lose their connection to it: they
    wait until the command has found it and tells them to end, so that its error is told and not theirs.
    """

    folder: Path

    def _wrapping_function(self, *arguments: Any, **keywords: Any) -> None:
        try:
            with explain_faults(self.folder), explain_faults(self.folder):  # twice: see `training.fit`
                super()._wrapping_function(*arguments, **keywords)
        except ProcessLost:
            end = time.monotonic() + PATIENCE
            while interrupts.received is None and time.monotonic() < end:
                time.sleep(0.05)
            raise


def prepare_launcher(trainer: Trainer, folder: Path) -> None:
    """Where training will run in several processes, makes them explain themselves, and lets go of what they cannot share."""
    launcher = trainer.strategy.launcher
    ours: Launcher | Relauncher
    if isinstance(launcher, _MultiProcessingLauncher):
        ours = Launcher(trainer.strategy, launcher._start_method)  # type: ignore[arg-type]
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoard):
                logger.close_before_fork()
    elif isinstance(launcher, _SubprocessScriptLauncher):
        ours = Relauncher(launcher.cluster_environment, launcher.num_processes, launcher.num_nodes)
    else:
        return
    ours.folder = folder
    trainer.strategy._launcher = ours
