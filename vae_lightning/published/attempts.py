"""The runs that were made of a recipe, read from their folders: which of them are runs of it, and what they gave."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vae_lightning.build import AXES
from vae_lightning.composing import composed, composing
from vae_lightning.errors import UserError
from vae_lightning.files import read_json
from vae_lightning.published.attempt import Attempt, number, read_attempt
from vae_lightning.published.recipes import Recipe
from vae_lightning.run_config import read_config

NUMBERS = (
    "latent_dim", "beta", "callbacks.best", "callbacks.early_stopping", "trainer.max_epochs", "trainer.max_steps",
    "trainer.max_time", "trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches",
    "trainer.accumulate_grad_batches", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.min_epochs",
    "trainer.min_steps", "trainer.limit_val_batches", "trainer.val_check_interval", "trainer.check_val_every_n_epoch",
)  # fmt: skip
# that change where and how fast a run is made, not what it is
FREE = {"data": ("root", "download", "eval_batch_size", "num_workers"), "optimizer": ("fused", "foreach", "capturable")}


def attempts(folders: Iterable[Path], recipes: Mapping[str, Recipe]) -> tuple[dict[str, list[Attempt]], list[str]]:
    """The attempts at each recipe by name, one for each seed, in the order of seeds; and sentences of what was left out.

    Of several with one seed, the latest that was evaluated. A run counts only if its configuration is still the recipe's, and
    beside other seeds only if it was evaluated alike (see `alike`).
    """
    found: dict[str, dict[int, Attempt]] = {}
    notes = []
    for folder in sorted(folders):
        config = _config(folder)
        recipe = recipes.get(str(_at(config, "choices.experiment")))
        if recipe is None:
            continue
        try:
            results = read_json(folder / "results.json")
        except (OSError, ValueError):
            notes.append(f"{folder.name} is left out: its results.json is damaged.")
            continue
        reason = _reason(recipe, config, results)
        if reason:
            notes.append(f"{folder.name} is left out: {reason}.")
            continue
        attempt = read_attempt(folder, recipe, config, results)
        if attempt.value is None:
            notes.append(f"{folder.name} was not evaluated: python evaluate.py run={folder} {recipe.evaluate}")
        if attempt.stale:
            notes.append(
                f"{folder.name}: per_image_{recipe.entry}.npz is of another evaluation than results.json, or damaged, so that no "
                "gap is taken from it; evaluate again with per_image=true."
            )
        seeds = found.setdefault(recipe.name, {})
        seeds[attempt.seed] = max(seeds.get(attempt.seed, attempt), attempt, key=lambda a: (a.value is not None, a.started))
    return {name: alike([seeds[seed] for seed in sorted(seeds)], notes) for name, seeds in found.items()}, notes


def alike(found: Sequence[Attempt], notes: list[str]) -> list[Attempt]:
    """Those whose nll is of as many images and samples as the most that one has, since others are no figures of the same thing.

    And those that were not evaluated. What is left out is told in `notes`.
    """
    most = max(_extent(attempt) for attempt in found)
    for attempt in found:
        if attempt.value is not None and _extent(attempt) != most:
            ours, others = (f"{images:,} images with k = {samples}" for images, samples in (_extent(attempt), most))
            notes.append(f"{attempt.folder.name} is left out: its nll is of {ours}, that of another seed of {others}.")
    return [attempt for attempt in found if attempt.value is None or _extent(attempt) == most]


def _extent(attempt: Attempt) -> tuple[int, int]:
    return attempt.images or 0, attempt.samples or 0


def _reason(recipe: Recipe, config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Why a run does not count; nothing where it does."""
    different = differences(config, recipe_config(recipe.name))
    if different:
        return f"it is no run of {recipe.name}, since {', '.join(different)} differ"
    if number(results, "steps") is None or number(results, "epochs") is None or stopped_short(results, config):
        return "its training has not ended"  # a results.json alone does not say so, since evaluate.py writes one
    if larger_batches(results, config):
        return f"several processes trained it, each with the batch of {recipe.name}"
    return ""


def run_folders(root: Path) -> list[Path]:
    """Every run folder at `root` or below it. UserError where there is no such folder."""
    if not root.is_dir():
        raise UserError(f"runs={root}: there is no such folder.")
    return [Path(place) for place, _, names in os.walk(root) if "config.yaml" in names]


@cache
def recipe_config(name: str) -> dict[str, Any]:
    """What the recipe composes to today, every interpolation resolved."""
    with composing([]):
        return OmegaConf.to_container(composed("train", [f"experiment={name}"]), resolve=True)  # type: ignore[return-value]


def stopped_short(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether results.json is of fewer epochs than the configuration asks for, as where a prolonged run was stopped meanwhile."""
    if _at(config, "callbacks.early_stopping") is not None:
        return False
    return bool(results["epochs"] < (_at(config, "trainer.max_epochs") or 0))


def larger_batches(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a step saw more than data.batch_size images: then there were fewer steps to an epoch than one process takes."""
    of_one = -(-config["facts"]["train_size"] // config["data"]["batch_size"])
    return bool(results["steps"] < 0.9 * of_one * results["epochs"])


def differences(config: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """The keys in which a run's configuration is not the recipe's, but for seed, folders, device and loggers."""
    keys = [*NUMBERS]
    for axis in AXES:
        free = FREE.get(axis, ())
        keys += [f"{axis}.{name}" for name in {**recipe.get(axis, {}), **config.get(axis, {})} if name not in free]
    return [key for key in keys if _at(config, key) != _at(recipe, key)]


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of a run; empty where it is none, or names code that does not ship."""
    try:
        config: dict[str, Any] = OmegaConf.to_container(read_config(folder / "config.yaml"), resolve=False)  # type: ignore[assignment]
    except UserError:
        return {}
    return config if isinstance(config.get("seed"), int) else {}
