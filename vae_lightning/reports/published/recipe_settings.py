"""The settings that identify a run of a recipe, as one flat dict."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from vae_lightning.config.builtin import AFTER_TRAINING, CONFIG_GROUPS, PUBLISHED
from vae_lightning.config.compose import compose_config, hydra_composer
from vae_lightning.config.plain import plain_dict
from vae_lightning.runs.config_file import value_at

NUMBERS = (
    "latent_dim", "beta", "callbacks.best", "callbacks.early_stopping", "trainer.max_epochs", "trainer.max_steps",
    "trainer.max_time", "trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches",
    "trainer.accumulate_grad_batches", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.min_epochs",
    "trainer.min_steps", "trainer.limit_val_batches", "trainer.val_check_interval", "trainer.check_val_every_n_epoch",
)  # fmt: skip
# these affect where a run reads its data and how fast it is, not its result
FREE = {
    "data": ("root", "download", "eval_batch_size", "num_workers", "cache", "cache_limit"),
    "optimizer": ("fused", "foreach", "capturable"),
}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting of a configuration by key, except seed, folders, device, loggers and sampler."""
    groups = [group for group in CONFIG_GROUPS if group not in AFTER_TRAINING]
    options = ((group, name) for group in groups for name in config.get(group) or {} if name not in FREE.get(group, ()))
    return {key: value_at(config, key) for key in (*NUMBERS, *(f"{group}.{name}" for group, name in options))}


@cache
def recipe_settings(name: str) -> Mapping[str, Any]:
    """Return the settings of the recipe as it is today."""
    return settings_of(recipe_config(name))


def recipe_config(name: str) -> dict[str, Any]:
    """Return what the recipe composes to today, with every interpolation resolved and without its published value."""
    with hydra_composer([]):
        config = plain_dict(compose_config("train", [f"experiment={name}"]))
    config.pop(PUBLISHED)
    return config


def differences(settings: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two runs differ; a missing key counts as None."""
    return [key for key in dict.fromkeys((*others, *settings)) if settings.get(key) != others.get(key)]
