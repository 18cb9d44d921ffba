"""The runs that were made of a recipe, read from their folders and records: which of them are runs of it, and what they gave."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vae_lightning.errors import UserError
from vae_lightning.files import read_json
from vae_lightning.reports.published.attempt import Attempt, number, read_attempt
from vae_lightning.reports.published.recipe_settings import differences, recipe_settings, settings_of, value_at
from vae_lightning.reports.published.recipes import Recipe
from vae_lightning.reports.published.records import read_record
from vae_lightning.runs.config_file import read_config

Found = dict[str, list[Attempt]]


def attempts(folders: Iterable[Path], recipes: Mapping[str, Recipe], records: Iterable[Path] = ()) -> tuple[Found, list[str]]:
    """The attempts at each recipe by name, one for each seed, in the order of seeds; and sentences of what was left out.

    folders, records: of runs, and files that `records.keep` wrote. Of several with one seed, the latest that was evaluated. A run
    counts only if its configuration is still the recipe's, and beside other seeds only if it was evaluated alike (see `alike`).
    """
    found: dict[str, dict[int, Attempt]] = {}
    notes: list[str] = []
    # of a run and its own record the run counts, since it may have been evaluated again
    for recipe, attempt in (*_recorded(records, recipes, notes), *_run(folders, recipes, notes)):
        seeds = found.setdefault(recipe.name, {})
        seeds[attempt.seed] = max(attempt, seeds.get(attempt.seed, attempt), key=lambda a: (a.value is not None, a.started))
    return {name: alike([seeds[seed] for seed in sorted(seeds)], notes) for name, seeds in found.items()}, notes


def _recorded(paths: Iterable[Path], recipes: Mapping[str, Recipe], notes: list[str]) -> list[tuple[Recipe, Attempt]]:
    """What records say; why one was left out goes to `notes`."""
    found = []
    for path in sorted(paths):
        try:
            recipe, attempt = read_record(path, recipes)
            _check_settings(recipe, attempt.settings)
        except ValueError as error:
            notes.append(f"{path.name} is left out: {error}.")
        else:
            found.append((recipe, attempt))
    return found


def _run(folders: Iterable[Path], recipes: Mapping[str, Recipe], notes: list[str]) -> list[tuple[Recipe, Attempt]]:
    """What run folders say; what was left out of them, and why, goes to `notes`."""
    found = []
    for folder in sorted(folders):
        config = _config(folder)
        recipe = recipes.get(str(value_at(config, "choices.experiment")))
        if recipe is None:
            continue
        try:
            attempt = _attempt(folder, recipe, config)
        except ValueError as error:
            notes.append(f"{folder.name} is left out: {error}.")
            continue
        found.append((recipe, attempt))
        if attempt.value is None:
            notes.append(f"{folder.name} was not evaluated: python evaluate.py run={folder} {recipe.evaluate}")
        if attempt.stale:
            notes.append(
                f"{folder.name}: per_image_{recipe.entry}.npz is of another evaluation than results.json, or damaged, so that no "
                "gap is taken from it; evaluate again with per_image=true."
            )
    return found


def _attempt(folder: Path, recipe: Recipe, config: Mapping[str, Any]) -> Attempt:
    """ValueError, with the reason, where a run does not count."""
    try:
        results = read_json(folder / "results.json")
    except (OSError, ValueError) as error:
        raise ValueError("its results.json is damaged") from error
    _check_settings(recipe, settings_of(config))
    if number(results, "steps") is None or number(results, "epochs") is None or stopped_short(results, config):
        raise ValueError("its training has not ended")  # a results.json alone does not say so, since evaluate.py writes one
    if larger_batches(results, config):
        raise ValueError(f"several processes trained it, each with the batch of {recipe.name}")
    return read_attempt(folder, recipe, config, results)


def _check_settings(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    different = differences(settings, recipe_settings(recipe.name))
    if different:
        raise ValueError(f"it is no run of {recipe.name}, since {', '.join(different)} differ")


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


def run_folders(root: Path) -> list[Path]:
    """Every run folder at `root` or below it. UserError where there is no such folder."""
    if not root.is_dir():
        raise UserError(f"runs={root}: there is no such folder.")
    return [Path(place) for place, _, names in os.walk(root) if "config.yaml" in names]


def stopped_short(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether results.json is of fewer epochs than the configuration asks for, as where a prolonged run was stopped meanwhile."""
    if value_at(config, "callbacks.early_stopping") is not None:
        return False
    return bool(results["epochs"] < (value_at(config, "trainer.max_epochs") or 0))


def larger_batches(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a step saw more than data.batch_size images: then there were fewer steps to an epoch than one process takes."""
    of_one = -(-config["data_spec"]["train_size"] // config["data"]["batch_size"])
    return bool(results["steps"] < 0.9 * of_one * results["epochs"])


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of a run; empty where it is none, or names code that does not ship."""
    try:
        config: dict[str, Any] = OmegaConf.to_container(read_config(folder / "config.yaml"), resolve=False)  # type: ignore[assignment]
    except UserError:
        return {}
    return config if isinstance(config.get("seed"), int) else {}
