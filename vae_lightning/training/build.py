"""Builds what a training run consists of from its complete configuration: data, model, module, callbacks, loggers, trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from vae_lightning.capabilities import DENSITY, require
from vae_lightning.config.instantiate import instantiate_list, instantiate_node
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.evaluation.metrics import VALIDATION_METRICS
from vae_lightning.models.vae import VAE
from vae_lightning.objectives import Objective
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION
from vae_lightning.training import silence_warnings  # noqa: F401  importing it silences them
from vae_lightning.training.callbacks.epoch_clock import EpochClock
from vae_lightning.training.callbacks.step_limit import StepLimit
from vae_lightning.training.checkpoint_io import AtomicCheckpointIO
from vae_lightning.training.context import SweepJob
from vae_lightning.training.datamodule import VAEDataModule
from vae_lightning.training.loggers import TensorBoard, archive_csv_logs
from vae_lightning.training.metrics_csv import MetricsCSV
from vae_lightning.training.module import VAEModule
from vae_lightning.training.overhead import NoProfiler
from vae_lightning.training.parts import OptimizerRecipe, RunParts, build_parts
from vae_lightning.training.ranks import is_first_process
from vae_lightning.training.resume import ResumePoint

# ---------------------------------------------------------------- data and model


def assemble(config: DictConfig, parts: RunParts | None = None, resumed: bool = False) -> tuple[VAEModule, VAEDataModule]:
    """Return the module and the data of a run, made of its `parts` (built here if not given).

    Adds to `config` what is needed to rebuild the model: `data_spec`, `schema_version` and `binarization`.
    """
    data, mode, vae, objective, recipe = build_parts(config, resumed) if parts is None else parts
    config.data_spec, config.schema_version, config.binarization = data.spec().as_dict(), SCHEMA_VERSION, mode
    if DENSITY not in vae.posterior.capabilities:
        monitor_reconstruction(config)
    module = build_module(config, vae, objective, recipe, dynamic=mode == "dynamic")
    datamodule = VAEDataModule(data, mode, config.seed)
    if vae.likelihood.bias_from_data and config.get("init_from") is None:
        datamodule.setup("fit")
        vae.start_from_mean_image(mean_image(datamodule.splits["train"]))
    return module, datamodule


def build_module(config: DictConfig, vae: VAE, objective: Objective, recipe: OptimizerRecipe, dynamic: bool) -> VAEModule:
    """Return the LightningModule that trains `vae`; `dynamic`: whether pixels are binarised anew at each step."""
    objective.set_train_size(config.data_spec.train_size)
    require(recipe.beta_schedule, recipe.beta_schedule.needs, vae.posterior)
    if not objective.uses_beta(vae) and (weights := _changed_beta_settings(config)):
        raise UserError(
            f"{' '.join(weights)} would have no effect: in objective={config.choices.objective} ({objective.parts_in_words()}) "
            f"with {vae.posterior.option} β weights nothing; leave {'it' if len(weights) == 1 else 'them'} out."
        )
    return VAEModule(
        vae,
        objective,
        recipe.beta_schedule,
        recipe.optimizer,
        recipe.lr_schedule,
        dynamic,
        config.seed,
        config.get("compile", "none"),
    )


def _changed_beta_settings(config: DictConfig) -> list[str]:
    """Return the settings of β that differ from their defaults."""
    beta = [f"beta={config.beta:g}"] if config.beta != 1 else []
    schedule = config.choices.beta_schedule
    return beta + ([f"beta_schedule={schedule}"] if schedule != "constant" else [])


def mean_image(images: Images) -> torch.Tensor:
    """Return the mean of a split's images, (channels, height, width), float32: in [0, 1], or in the units of real-valued data."""
    real = images.stored.is_floating_point()
    total = torch.zeros(images.shape, dtype=torch.float64 if real else torch.int64)
    for part in images.chunks():
        total += part.sum(0, dtype=total.dtype)
    return (total.double() / (len(images) if real else 255 * len(images))).float()


def monitor_reconstruction(config: DictConfig) -> None:
    """Make callbacks monitor val/reconstruction instead of val/elbo: a plain auto-encoder has no ELBO."""
    for callback in config.callbacks.values():
        if callback.get("monitor") == "val/elbo":
            callback.monitor, callback.mode = "val/reconstruction", "min"


# ---------------------------------------------------------------- trainer


def make_trainer(config: DictConfig, folder: Path, start: ResumePoint | None = None, job: SweepJob | None = None) -> Trainer:
    """Return the Trainer of a run with its loggers and callbacks.

    Args:
        config: the complete configuration of the run.
        folder: the run folder.
        start: the checkpoint to resume from; None for a new run.
        job: what the sweep adds, if the run is one of its jobs.
    """
    loggers = build_loggers(config, folder)
    callbacks = enabled_callbacks(config, folder)
    if job is not None:
        callbacks = [*(c for c in callbacks if not isinstance(c, ProgressBar)), *job.callbacks]
    callbacks.insert(0, EpochClock())
    more: dict[str, Any] = {
        # otherwise Lightning adds its own
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        **({"profiler": NoProfiler()} if config.trainer.profiler is None else {}),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
    }
    if config.trainer.accelerator == "auto" and torch.backends.mps.is_available():
        more["accelerator"] = "cpu"  # Apple's GPUs have no float64, which validation needs for its sums
    if job is not None:
        more["strategy"] = job.strategy
    limit = config.trainer.max_steps
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        callbacks.append(StepLimit(limit))
        more |= {"max_steps": -1, "max_epochs": -1 if config.trainer.max_epochs is None else config.trainer.max_epochs}
    trainer = build_trainer(config, folder, [MetricsCSV(folder), *loggers], callbacks, **more)
    if start is not None:  # files are renamed only now that the settings have been accepted
        for logger in loggers:
            if is_first_process():
                archive_csv_logs(logger)
            if isinstance(logger, TensorBoard):
                logger.resume_from_step(start.step)
    return trainer


def build_trainer(
    config: DictConfig, folder: Path, loggers: Sequence[Logger], callbacks: Sequence[Callback], **more: Any
) -> Trainer:
    """Build Lightning's Trainer on this run folder; `more` overrides arguments of the configuration."""
    node = OmegaConf.select(config, "trainer")
    if node is None or "plugins" not in node:
        raise UserError("trainer is not set: choose one of its options (trainer=auto).")
    plugins = [*(instantiate_list(config, "trainer.plugins")), AtomicCheckpointIO(folder)]
    return instantiate_node(
        config,
        "trainer",
        logger=list(loggers),
        callbacks=list(callbacks),
        default_root_dir=folder,
        use_distributed_sampler=False,
        **{"plugins": plugins, **more},
    )


def enabled_callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """Build the callbacks of the configuration, except those that arguments of the trainer turn off."""
    off: list[type] = []
    if config.trainer.enable_checkpointing is False or config.trainer.fast_dev_run:
        off.append(Checkpoint)
    if config.trainer.enable_progress_bar is False:
        off.append(ProgressBar)
    callbacks = [callback for callback in build_callbacks(config) if not isinstance(callback, tuple(off))]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):  # added by the user, in addition to ours
            callback.dirpath = str(folder / "checkpoints")
    return callbacks


def build_callbacks(config: DictConfig) -> list[Callback]:
    """Return the callbacks of the configuration.

    Raises:
        UserError: one of them is not a Lightning callback.
        InvalidValue: one of them monitors an unknown metric.
    """
    metrics = [f"val/{name}" for name in VALIDATION_METRICS]
    callbacks = []
    for name, node in (config.get("callbacks") or {}).items():
        if node is None:
            continue
        callback = instantiate_node(config, f"callbacks.{name}")
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name} makes a {type(callback).__name__}, which is not a Lightning callback.")
        monitor = getattr(callback, "monitor", None)
        if "monitor" in node and monitor not in metrics:
            raise InvalidValue(f"callbacks.{name}.monitor", monitor, f"one of {', '.join(metrics)}")
        callbacks.append(callback)
    return callbacks


def build_loggers(config: DictConfig, folder: Path) -> list[Logger]:
    """Return the loggers of the configuration, for this run folder."""
    nodes = (config.get("logger") or {}).items()
    return [
        instantiate_node(config, f"logger.{name}", save_dir=folder, **_label(config, node))
        for name, node in nodes
        if node is not None
    ]


def _label(config: DictConfig, node: DictConfig) -> dict[str, Any]:
    """Return the label of a sweep's job, for a logger whose `label` argument was not set."""
    return {"label": config.label} if "label" in config and node.get("label", "") is None else {}
