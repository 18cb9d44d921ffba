"""From a complete configuration to module, data and trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from omegaconf import DictConfig

from vae_lightning.capabilities import DENSITY
from vae_lightning.data.base import Images
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION
from vae_lightning.training import silence_warnings as quiet  # noqa: F401
from vae_lightning.training.build import build_callbacks, build_loggers, build_module, build_trainer
from vae_lightning.training.callbacks.epoch_clock import EpochClock
from vae_lightning.training.callbacks.step_limit import StepLimit
from vae_lightning.training.context import SweepJob
from vae_lightning.training.datamodule import VAEDataModule
from vae_lightning.training.loggers import MetricsCSV, archive_csv_logs
from vae_lightning.training.module import VAEModule
from vae_lightning.training.overhead import NoProfiler
from vae_lightning.training.parts import RunParts, build_parts
from vae_lightning.training.resume import ResumePoint


def assemble(config: DictConfig, parts: RunParts | None = None) -> tuple[VAEModule, VAEDataModule]:
    """The module and the data of a run, made of its `parts` (built here, if not given).

    Adds to `config` what is needed to rebuild the model: `data_spec`, `schema_version` and `binarization`.
    """
    data, mode, vae, objective, recipe = build_parts(config) if parts is None else parts
    config.data_spec, config.schema_version, config.binarization = data.spec().as_dict(), SCHEMA_VERSION, mode
    if DENSITY not in vae.posterior.capabilities:
        watch_reconstruction(config)
    module = build_module(config, vae, objective, recipe, dynamic=mode == "dynamic")
    served = VAEDataModule(data, mode, config.seed)
    if vae.likelihood.bias_from_data:
        served.setup("fit")
        vae.start_from_mean_image(mean_image(served.splits["train"]))
    return module, served


def mean_image(images: Images) -> torch.Tensor:
    """The mean of a split's images, (channels, height, width), float32 in [0, 1]."""
    return (images.images.sum(0).double() / (255 * len(images))).float()


def watch_reconstruction(config: DictConfig) -> None:
    """Callbacks that watch val/elbo watch val/reconstruction instead, since there is no ELBO (a plain auto-encoder)."""
    for callback in config.callbacks.values():
        if callback.get("monitor") == "val/elbo":
            callback.monitor, callback.mode = "val/reconstruction", "min"


def make_trainer(config: DictConfig, folder: Path, start: ResumePoint | None = None, job: SweepJob | None = None) -> Trainer:
    loggers = build_loggers(config, folder)
    callbacks = make_callbacks(config, folder)
    if job is not None:
        callbacks = [*(c for c in callbacks if not isinstance(c, ProgressBar)), *job.callbacks]
    callbacks.insert(0, EpochClock())
    more: dict[str, Any] = {
        # else Lightning adds its own
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        **({"profiler": NoProfiler()} if config.trainer.profiler is None else {}),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
    }
    if config.trainer.accelerator == "auto" and torch.backends.mps.is_available():
        more["accelerator"] = "cpu"  # Apple's GPUs have no float64, in which validation sums up
    if job is not None:
        more["strategy"] = job.strategy
    limit = config.trainer.max_steps
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        callbacks.append(StepLimit(limit))
        more |= {"max_steps": -1, "max_epochs": -1 if config.trainer.max_epochs is None else config.trainer.max_epochs}
    trainer = build_trainer(config, folder, [MetricsCSV(folder), *loggers], callbacks, **more)
    for logger in loggers if start is not None else ():  # the settings were accepted: only now files are renamed
        if is_first_process():
            archive_csv_logs(logger)
        if hasattr(logger, "resume_from_step"):
            logger.resume_from_step(start.step)  # type: ignore[union-attr]
    return trainer


def make_callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """The callbacks of the configuration, without those that the trainer's arguments switch off."""
    off: list[type] = []
    if config.trainer.enable_checkpointing is False or config.trainer.fast_dev_run:
        off.append(Checkpoint)
    if config.trainer.enable_progress_bar is False:
        off.append(ProgressBar)
    callbacks = build_callbacks(config)
    callbacks = [callback for callback in callbacks if not isinstance(callback, tuple(off))]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):  # one's own, beside ours
            callback.dirpath = str(folder / "checkpoints")
    return callbacks


def is_first_process() -> bool:
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]
