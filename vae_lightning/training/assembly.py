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
from vae_lightning.config.build import build_data, build_vae
from vae_lightning.data.base import Images
from vae_lightning.data.binarization import resolve_binarization
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.noise import derive_seed
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
from vae_lightning.training.resume import ResumePoint


def assemble(config: DictConfig) -> tuple[VAEModule, VAEDataModule]:
    """Data and model, with weights drawn from the run's seed; `config` learns what it takes to rebuild them."""
    data = build_data(config)
    data_spec = data.spec()
    torch.manual_seed(derive_seed(config.seed, "weights"))
    vae = build_vae(config, data_spec)
    try:
        mode = resolve_binarization(data.binarize, vae.likelihood.support == "binary")
    except InvalidValue as error:
        raise UserError(f"data.binarize={error.value}: must be {error.allowed}.") from error
    config.data_spec, config.schema_version, config.binarization = data_spec.as_dict(), SCHEMA_VERSION, mode
    if DENSITY not in vae.posterior.capabilities:
        watch_reconstruction(config)
    vae.latent_prior.start(data.splits()["train"].images)
    module = build_module(config, vae, dynamic=mode == "dynamic")
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
    for logger in loggers:
        if start is not None and is_first_process():
            archive_csv_logs(logger)
        if start is not None and hasattr(logger, "resume_from_step"):
            logger.resume_from_step(start.step)
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
    return build_trainer(config, folder, [MetricsCSV(folder), *loggers], callbacks, **more)


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
