"""The runs that were made of a recipe, read from their folders: which of them are runs of it, and what they gave."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from vae_lightning.build import AXES
from vae_lightning.composing import composed, composing
from vae_lightning.errors import UserError
from vae_lightning.evaluation.measured import ERROR
from vae_lightning.files import has_ended, read_json
from vae_lightning.published.recipes import Recipe
from vae_lightning.run_config import read_config

NUMBERS = (
    "latent_dim", "beta", "callbacks.best", "callbacks.early_stopping", "trainer.max_epochs", "trainer.max_steps",
    "trainer.max_time", "trainer.precision", "trainer.limit_train_batches", "trainer.overfit_batches",
    "trainer.accumulate_grad_batches", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm",
)  # fmt: skip
# that change where and how fast a run is made, not what it is
FREE = {"data": ("root", "download", "eval_batch_size", "num_workers"), "optimizer": ("fused", "foreach", "capturable")}


@dataclass(frozen=True)
class Attempt:
    """A finished run of a recipe.

    value, error: its metric, and the standard error over images; None where it was not evaluated. samples: of the nll, None of
    another metric. per_image: the metric of each test image by its place, None where no file has it. images: how many the nll
    is the mean of. stale: there is such a file, and its mean is not `value`: it is of other weights or another k. active_units,
    latent_dim: of the weights that were evaluated.
    """

    folder: Path
    seed: int
    started: str
    value: float | None
    error: float | None
    samples: int | None
    per_image: Mapping[int, float] | None
    seconds: float
    hardware: str
    commit: str
    images: int | None = None
    stale: bool = False
    active_units: int | None = None
    latent_dim: int = 0


def attempts(folders: Iterable[Path], recipes: Mapping[str, Recipe]) -> tuple[dict[str, list[Attempt]], list[str]]:
    """The attempts at each recipe by name, one for each seed, in the order of seeds; and sentences of what was left out.

    Of several with one seed, the latest that was evaluated. A run counts only if its configuration is still the recipe's.
    """
    found: dict[str, dict[int, Attempt]] = {}
    notes = []
    for folder in sorted(folders):
        config = _config(folder)
        recipe = recipes.get(config.get("choices", {}).get("experiment") or "")
        if recipe is None:
            continue
        different = differences(config, recipe_config(recipe.name))
        if different:
            notes.append(f"{folder.name} is left out: it is no run of {recipe.name}, since {', '.join(different)} differ.")
        elif not has_ended(folder) or stopped_short(folder, config):
            notes.append(f"{folder.name} is left out: its training has not ended.")
        elif larger_batches(folder, config):
            notes.append(f"{folder.name} is left out: several processes trained it, each with the batch of {recipe.name}.")
        else:
            attempt = _attempt(folder, recipe, config)
            if attempt.stale:
                notes.append(
                    f"{folder.name}: per_image_{recipe.entry}.npz is of another evaluation than results.json, so that no gap is "
                    "taken from it; evaluate again with per_image=true."
                )
            seeds = found.setdefault(recipe.name, {})
            seeds[attempt.seed] = max(seeds.get(attempt.seed, attempt), attempt, key=lambda a: (a.value is not None, a.started))
    return {name: [seeds[seed] for seed in sorted(seeds)] for name, seeds in found.items()}, notes


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


def stopped_short(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether results.json is of fewer epochs than the configuration asks for, as where a prolonged run was stopped meanwhile."""
    if _at(config, "callbacks.early_stopping") is not None:
        return False
    return read_json(folder / "results.json")["epochs"] < (_at(config, "trainer.max_epochs") or 0)


def larger_batches(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether a step saw more than data.batch_size images: then there were fewer steps to an epoch than one process takes."""
    results = read_json(folder / "results.json")
    of_one = -(-config["facts"]["train_size"] // config["data"]["batch_size"])
    return results["steps"] < 0.9 * of_one * results["epochs"]


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
        return OmegaConf.to_container(read_config(folder / "config.yaml"), resolve=False)  # type: ignore[return-value]
    except UserError:
        return {}


def _attempt(folder: Path, recipe: Recipe, config: Mapping[str, Any]) -> Attempt:
    results = read_json(folder / "results.json")
    figures, name = results.get(recipe.entry, {}), recipe.metric.lstrip("-")
    sign = -1 if recipe.metric.startswith("-") else 1
    measured = name + ERROR in figures  # training writes its test figures without errors, evaluate.py with them
    value = sign * figures[name] if measured else None
    per_image = _per_image(folder / f"per_image_{recipe.entry}.npz", name, sign)
    stale = value is not None and per_image is not None and not _is_mean(value, per_image)
    return Attempt(
        folder=folder,
        seed=config["seed"],
        started=str(config.get("started")),
        value=value,
        error=figures[name + ERROR] if measured else None,
        samples=figures.get("nll_samples") if name == "nll" else None,
        per_image=None if stale else per_image,
        seconds=results.get("seconds", 0.0),
        hardware=str(results.get("hardware") or results.get("device")),
        commit=str(results.get("git_commit") or "unknown"),
        images=figures.get("nll_images") if name == "nll" else None,
        stale=stale,
        active_units=figures.get("active_units"),
        latent_dim=config["latent_dim"],
    )


def _is_mean(value: float, per_image: Mapping[int, float]) -> bool:
    return bool(per_image) and math.isclose(fmean(per_image.values()), value, rel_tol=1e-6)


def _per_image(path: Path, name: str, sign: int) -> Mapping[int, float] | None:
    if not path.exists():
        return None
    with np.load(path) as arrays:
        if name not in arrays:
            return None
        pairs: Sequence[tuple[int, float]] = list(zip(arrays["examples"].tolist(), arrays[name].tolist(), strict=True))
    return {place: sign * value for place, value in pairs if np.isfinite(value)}
