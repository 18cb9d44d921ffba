"""One training run from start to finish: build it, train it, measure it and write the results."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig
from rich.markup import escape

from vae_lightning.files import exclusive_folder
from vae_lightning.runs.checkpoint_files import LAST
from vae_lightning.runs.console import RunLog
from vae_lightning.subnormals import flush_subnormals
from vae_lightning.training import silence_warnings  # noqa: F401  importing it silences them
from vae_lightning.training.build import assemble, make_trainer
from vae_lightning.training.checkpoint_check import check_fits, explain_restoring
from vae_lightning.training.checkpoint_state import cuda_note
from vae_lightning.training.context import SweepJob, TrainingContext
from vae_lightning.training.finish import finish, score
from vae_lightning.training.overhead import low_overhead
from vae_lightning.training.parts import RunParts
from vae_lightning.training.processes.faults import explain_faults, quiet_writers, resume_hint
from vae_lightning.training.processes.interrupts import Interrupted, interrupts
from vae_lightning.training.processes.spawned import prepare_launcher
from vae_lightning.training.ranks import is_first_process
from vae_lightning.training.resume import ResumePoint, reread_checkpoint, roll_back_to_checkpoint
from vae_lightning.training.start import write_run_header


def fit(
    config: DictConfig,
    folder: Path,
    start: ResumePoint | None = None,
    job: SweepJob | None = None,
    parts: RunParts | None = None,
) -> float:
    """Train a run, evaluate its best checkpoint on val and test, draw pictures and write the results.

    Under DDP every process runs this; only the main process prints and writes.

    Args:
        config: the complete configuration of the run.
        folder: the run folder.
        start: the checkpoint to resume from; None for a new run.
        job: what the sweep adds, if the run is one of its jobs.
        parts: data, model and objective, if they were built already.

    Returns:
        The best validation score, see `finish.score`.

    Raises:
        RunError: the machine failed, or a metric is not finite.
        Interrupted: SIGTERM or Ctrl-C was received.
    """
    report = RunLog(quiet=job is not None)  # a sweep reports on its jobs itself
    with (
        flush_subnormals(),
        interrupts.watched(),
        quiet_writers(),
        exclusive_folder(folder) if is_first_process() else nullcontext(),
    ):
        try:
            # twice, since a signal may report a dead worker while the first error is being explained
            with explain_faults(folder), explain_faults(folder):
                return _fit(config, folder, start, job, parts, report)
        except Interrupted as interrupted:
            if is_first_process():
                report.say(f"Stopped by {interrupted.signal}.{resume_hint(folder)}")
            raise
        finally:
            report.close()


def _fit(
    config: DictConfig,
    folder: Path,
    start: ResumePoint | None,
    job: SweepJob | None,
    parts: RunParts | None,
    report: RunLog,
) -> float:
    began = time.perf_counter()
    module, data = assemble(config, parts, resumed=start is not None)
    module.recorder.began = began
    start = start and reread_checkpoint(start)
    trainer = make_trainer(config, folder, start, job)  # rejects wrong settings before any file of a run is changed
    if start is not None:
        check_fits(start.checkpoint, start.content, module, trainer)
    notes = [] if start is None or not is_first_process() else roll_back_to_checkpoint(start)
    run = TrainingContext(config, folder, module, data, trainer, report)
    if is_first_process():
        write_run_header(run, start)
        for note in notes if start is None else [*notes, *cuda_note(start.content["ranks"], trainer.strategy.root_device)]:
            report.say(escape(note))
    prepare_launcher(trainer, folder)
    restoring = nullcontext() if start is None else explain_restoring(start.checkpoint)
    with low_overhead(), interrupts.forwarded(trainer.strategy.launcher), restoring:
        trainer.fit(module, datamodule=data, ckpt_path=start and folder / "checkpoints" / LAST)
    if not trainer.is_global_zero:
        val = module.recorder.history.get("val")
        return score(val) if val else float("nan")
    return finish(run)
