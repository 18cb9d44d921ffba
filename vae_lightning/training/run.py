"""One training run: what is composed is put together, trained, measured and written; faults become sentences."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning import quiet  # noqa: F401
from vae_lightning.checkpoint_files import LAST
from vae_lightning.console import Report
from vae_lightning.faults import explained, go_on, quiet_writers
from vae_lightning.interrupts import Interrupted, interrupts
from vae_lightning.launching import prepare_processes
from vae_lightning.lean import lean_steps
from vae_lightning.processes import sole_owner
from vae_lightning.resume import Start, as_it_is_now, take_up
from vae_lightning.training.assembly import assemble, is_first_process, make_trainer
from vae_lightning.training.closing import finish, score
from vae_lightning.training.opening import begin
from vae_lightning.training.parts import Run


def fit(config: DictConfig, folder: Path, in_sweep: bool, start: Start | None = None) -> float:
    """Trains, evaluates the best checkpoint on val and test, draws and writes; the best validation figure (see `closing.score`).

    Goes on from `start`, if it is given. Processes that DDP starts come through here too; the first one alone prints and writes.
    """
    report = Report(quiet=in_sweep)  # a sweep says itself what becomes of its jobs
    with interrupts.watched(), quiet_writers(), sole_owner(folder) if is_first_process() else nullcontext():
        try:
            # twice, since a signal tells of a dead worker, perhaps while the first error is being explained
            with explained(folder), explained(folder):
                return _fit(config, folder, in_sweep, start, report)
        except Interrupted as interrupted:
            if is_first_process():
                report.say(f"Stopped by {interrupted.signal}.{go_on(folder)}")
            raise
        finally:
            report.close()


def _fit(config: DictConfig, folder: Path, in_sweep: bool, start: Start | None, report: Report) -> float:
    began = time.perf_counter()
    module, data = assemble(config)
    module.recorder.began = began
    start = start and as_it_is_now(start)
    notes = [] if start is None or not is_first_process() else take_up(start)
    trainer = make_trainer(config, folder, in_sweep, start)
    run = Run(config, folder, module, data, trainer, report)
    if is_first_process():
        begin(run, start)
        for note in notes:
            report.say(note)
    prepare_processes(trainer, folder)
    with lean_steps(trainer, module), interrupts.forwarded(trainer.strategy.launcher):
        trainer.fit(module, datamodule=data, ckpt_path=start and folder / "checkpoints" / LAST)
    if not trainer.is_global_zero:
        val = module.recorder.history.get("val")
        return score(val) if val else float("nan")
    return finish(run)
