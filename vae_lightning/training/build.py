"""From configuration to what trains: module, callbacks, loggers, trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.instantiate import instantiate_list, instantiate_node
from vae_lightning.errors import InvalidValue, UserError

if TYPE_CHECKING:
    from vae_lightning.models.vae import VAE
    from vae_lightning.objectives import Objective
    from vae_lightning.training.module import VAEModule
    from vae_lightning.training.parts import Recipe


def _given_weights(config: DictConfig) -> list[str]:
    """What of β is not as it is by default."""
    beta = [f"beta={config.beta:g}"] if config.beta != 1 else []
    schedule = config.choices.beta_schedule
    return beta + ([f"beta_schedule={schedule}"] if schedule != "constant" else [])


def build_module(config: DictConfig, vae: VAE, objective: Objective, recipe: Recipe, dynamic: bool) -> VAEModule:
    """The LightningModule that trains `vae`; `dynamic`: whether pixels are binarised anew at each step."""
    from vae_lightning.capabilities import require
    from vae_lightning.training.module import VAEModule

    objective.set_train_size(config.data_spec.train_size)
    require(recipe.beta_schedule, recipe.beta_schedule.needs, vae.posterior)
    if not objective.uses_beta(vae) and (weights := _given_weights(config)):
        raise UserError(
            f"{' '.join(weights)} would have no effect: in objective={config.choices.objective} ({objective.parts_in_words()}) "
            f"with {vae.posterior.option} nothing is weighed by it; leave {'it' if len(weights) == 1 else 'them'} out."
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


def build_callbacks(config: DictConfig) -> list[Any]:
    """The callbacks of the configuration; each monitors a figure that there is."""
    from lightning.pytorch import Callback

    from vae_lightning.evaluation.metrics import VALIDATION_METRICS

    figures = [f"val/{name}" for name in VALIDATION_METRICS]
    callbacks = []
    for name, node in (config.get("callbacks") or {}).items():
        if node is None:
            continue
        callback = instantiate_node(config, f"callbacks.{name}")
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name} makes a {type(callback).__name__}, which is no callback of Lightning.")
        monitor = getattr(callback, "monitor", None)
        if "monitor" in node and monitor not in figures:
            raise InvalidValue(f"callbacks.{name}.monitor", monitor, f"one of {', '.join(figures)}")
        callbacks.append(callback)
    return callbacks


def build_loggers(config: DictConfig, folder: Path) -> list[Any]:
    """The loggers of the configuration, on this run folder."""
    nodes = (config.get("logger") or {}).items()
    return [
        instantiate_node(config, f"logger.{name}", save_dir=folder, **_label(config, node))
        for name, node in nodes
        if node is not None
    ]


def _label(config: DictConfig, node: DictConfig) -> dict[str, Any]:
    """That of the sweep's job, for a logger that takes a label and was given none."""
    return {"label": config.label} if "label" in config and node.get("label", "") is None else {}


def build_trainer(config: DictConfig, folder: Path, loggers: Sequence[Any], callbacks: Sequence[Any], **more: Any) -> Any:
    """Lightning's Trainer on this run folder."""
    from vae_lightning.training.checkpoint_io import AtomicCheckpointIO

    node = OmegaConf.select(config, "trainer")
    if node is None or "plugins" not in node:
        raise UserError("trainer is not set: choose one of its options (trainer=auto).")
    plugins = [*(instantiate_list(config, "trainer.plugins")), AtomicCheckpointIO()]
    return instantiate_node(
        config,
        "trainer",
        logger=list(loggers),
        callbacks=list(callbacks),
        default_root_dir=folder,
        use_distributed_sampler=False,
        **{"plugins": plugins, **more},
    )
