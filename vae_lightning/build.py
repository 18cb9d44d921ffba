"""From configuration to objects: the only place that calls `hydra.utils.instantiate`.

Building is staged, since shapes come from the data: data → likelihood → posterior → model → prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vae_lightning.data.base import DataFacts, ImageData
from vae_lightning.errors import InvalidValue, UserError, check_number

AXES = ("data", "model", "posterior", "prior", "likelihood", "objective", "beta_schedule", "optimizer", "lr_schedule")


def make(config: DictConfig, key: str, **given: Any) -> Any:
    """The object that the node `key` describes.

    UserError, in terms of the configuration's keys, where its arguments are wrong.
    """
    node = OmegaConf.select(config, key)
    try:
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, InvalidValue):
            raise UserError(f"{source_key(config, key, cause.name)}={cause.value}: must be {cause.allowed}.") from error
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(f"{key} needs what is not installed: {_install(key, cause)}.") from error
        if isinstance(cause, ValueError | TypeError | ImportError | AttributeError) or cause is None:
            raise UserError(f"{key}: {' '.join(str(cause or error).split())}") from error
        raise


def source_key(config: DictConfig, key: str, name: str) -> str:
    """Where the argument `name` of the node `key` was set: `beta`, if the node only says `${beta}`."""
    node = OmegaConf.select(config, key)
    value = node._get_node(name) if isinstance(node, DictConfig) and name in node else None
    if value is None:
        return name if name in config else f"{key}.{name}"
    text = value._value()
    if isinstance(text, str) and text.startswith("${") and ":" not in text:
        return text[2:-1]
    return f"{key}.{name}"


def build_data(config: DictConfig) -> ImageData:
    data = make(config, "data")
    assert isinstance(data, ImageData)
    return data


def build_vae(config: DictConfig, facts: DataFacts) -> Any:
    """The VAE (imports torch, but no Lightning)."""
    from vae_lightning.vae import VAE

    likelihood = make(config, "likelihood", shape=facts.shape)
    posterior = make(config, "posterior")
    return VAE(make(config, "model"), posterior, make(config, "prior"), likelihood)


def build_module(config: DictConfig, vae: Any, dynamic: bool) -> Any:
    """The LightningModule that trains `vae`."""
    from vae_lightning.module import VAEModule

    check_optimizer(config)
    return VAEModule(
        vae,
        make(config, "objective"),
        make(config, "beta_schedule"),
        make(config, "optimizer"),
        make(config, "lr_schedule"),
        dynamic,
        config.seed,
    )


def check_optimizer(config: DictConfig) -> None:
    """The optimizer refuses its arguments only when it is made: make one of a single weight, before training."""
    import torch

    check_number("optimizer.lr", config.optimizer.lr, 0)
    recipe = make(config, "optimizer")
    try:
        recipe([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError) as error:
        raise UserError(f"optimizer: {error}.") from error


def build_trainer(config: DictConfig, folder: Path, loggers: Sequence[Any], callbacks: Sequence[Any], **more: Any) -> Any:
    """Lightning's Trainer on this run folder."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from vae_lightning.checkpoint_io import AtomicCheckpointIO

    node = OmegaConf.select(config, "trainer")
    plugins = [*(instantiate(node.plugins, _convert_="all") or []), AtomicCheckpointIO()]
    try:
        return make(
            config,
            "trainer",
            logger=list(loggers),
            callbacks=list(callbacks),
            default_root_dir=str(folder),
            use_distributed_sampler=False,
            **{"plugins": plugins, **more},
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException):
            raise UserError(f"trainer: {' '.join(str(error.__cause__).split())}") from error
        raise


def _install(key: str, missing: ModuleNotFoundError) -> str:
    """How to get it: by the extra of the option's name, if there is one."""
    extra = key.rpartition(".")[2]
    if extra in (metadata("vae-lightning").get_all("Provides-Extra") or []):
        return f"pip install 'vae-lightning[{extra}]'"
    return missing.name or " ".join(str(missing).split())
