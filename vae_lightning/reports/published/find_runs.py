"""Finds the runs of each recipe, in run folders and in records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.config.plain import plain_dict
from vae_lightning.errors import RunError, UserError
from vae_lightning.readers import read_json_with_nan
from vae_lightning.reports.published.recipe_run import RecipeRun, number, read_run
from vae_lightning.reports.published.recipe_settings import differences, recipe_settings, settings_of
from vae_lightning.reports.published.recipes import Recipe
from vae_lightning.reports.published.records import read_record
from vae_lightning.runs.config_file import read_config, value_at

RunsByRecipe = dict[str, list[RecipeRun]]


def find_runs(
    folders: Iterable[Path], recipes: Mapping[str, Recipe], records: Iterable[Path] = ()
) -> tuple[RunsByRecipe, list[str]]:
    """Return the runs of each recipe, one per seed in the order of seeds.

    Of several runs with the same seed, the latest that was evaluated counts. A run counts only if its configuration is still
    that of the recipe, and if it was evaluated like the other seeds (see `same_evaluation`).

    Args:
        folders: run folders.
        recipes: recipes by name, from `recipes.recipes()`.
        records: files written by `write_record`.

    Returns:
        The runs by recipe, and a sentence for each run that was left out.
    """
    found: dict[str, dict[int, RecipeRun]] = {}
    notes: list[str] = []
    # a run folder takes precedence over its own record, since it may have been evaluated again
    for recipe, run in (*_from_records(records, recipes, notes), *_from_folders(folders, recipes, notes)):
        seeds = found.setdefault(recipe.name, {})
        seeds[run.seed] = max(run, seeds.get(run.seed, run), key=lambda r: (r.value is not None, r.started))
    return {name: same_evaluation([seeds[seed] for seed in sorted(seeds)], notes) for name, seeds in found.items()}, notes


def _from_records(paths: Iterable[Path], recipes: Mapping[str, Recipe], notes: list[str]) -> list[tuple[Recipe, RecipeRun]]:
    found = []
    for path in sorted(paths):
        try:
            recipe, run = read_record(path, recipes)
            _check_settings(recipe, run.settings)
        except ValueError as error:
            notes.append(f"{path.name} is left out: {error}.")
        else:
            found.append((recipe, run))
    return found


def _from_folders(folders: Iterable[Path], recipes: Mapping[str, Recipe], notes: list[str]) -> list[tuple[Recipe, RecipeRun]]:
    found = []
    for folder in sorted(folders):
        config = _config(folder)
        recipe = recipes.get(str(value_at(config, "choices.experiment")))
        if recipe is None:
            continue
        try:
            run = _read_finished(folder, recipe, config)
        except ValueError as error:
            notes.append(f"{folder.name} is left out: {error}.")
            continue
        found.append((recipe, run))
        if run.value is None:
            notes.append(f"{folder.name} was not evaluated: python evaluate.py run={folder} {recipe.evaluate}")
        if run.stale:
            notes.append(
                f"{folder.name}: per_image_{recipe.entry}.npz does not match results.json, or is damaged, so it is not used for "
                "paired gaps; evaluate again with per_image=true."
            )
    return found


def _read_finished(folder: Path, recipe: Recipe, config: Mapping[str, Any]) -> RecipeRun:
    """Raise ValueError with the reason if the run does not count."""
    try:
        results = read_json_with_nan(folder / "results.json")
    except FileNotFoundError:
        results = {}
    except RunError as error:
        raise ValueError("its results.json is damaged") from error
    _check_settings(recipe, settings_of(config))
    # results.json alone does not mean that training is finished, since evaluate.py writes one too
    if number(results, "steps") is None or number(results, "epochs") is None or stopped_early(results, config):
        raise ValueError("its training is not finished")
    if has_larger_batches(results, config):
        raise ValueError(f"it was trained by several processes, each with the batch size of {recipe.name}")
    return read_run(folder, recipe, config, results)


def _check_settings(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    different = differences(settings, recipe_settings(recipe.name))
    if different:
        raise ValueError(f"it is not a run of {recipe.name}: {', '.join(different)} differ")


def same_evaluation(found: Sequence[RecipeRun], notes: list[str]) -> list[RecipeRun]:
    """Select the runs whose nll is from the largest number of images and samples: the others are not comparable with them.

    Runs that were not evaluated stay in the list. `notes` gets a sentence for each run that is left out.
    """
    most = max(_extent(run) for run in found)
    for run in found:
        if run.value is not None and _extent(run) != most:
            ours, others = (f"{images:,} images with k = {samples}" for images, samples in (_extent(run), most))
            notes.append(f"{run.folder.name} is left out: its nll is from {ours}, but another seed has {others}.")
    return [run for run in found if run.value is None or _extent(run) == most]


def _extent(run: RecipeRun) -> tuple[int, int]:
    return run.images or 0, run.samples or 0


def run_folders(root: Path) -> list[Path]:
    """Return every run folder at or below `root`.

    Raises:
        UserError: `root` is not a folder.
    """
    if not root.is_dir():
        raise UserError(f"runs={root}: no such folder.")
    return [Path(folder) for folder, _, names in os.walk(root) if "config.yaml" in names]


def stopped_early(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether results.json reports fewer epochs than configured, as when a prolonged run is stopped halfway."""
    if value_at(config, "callbacks.early_stopping") is not None:
        return False
    return bool(results["epochs"] < (value_at(config, "trainer.max_epochs") or 0))


def has_larger_batches(results: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether each step saw more than data.batch_size images: then an epoch has fewer steps than in a single process."""
    steps_per_epoch = -(-config["data_spec"]["train_size"] // config["data"]["batch_size"])
    return bool(results["steps"] < 0.9 * steps_per_epoch * results["epochs"])


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run; empty if the file is not one, or names code that does not ship."""
    try:
        config = plain_dict(read_config(folder / "config.yaml"), resolve=False)
    except UserError:
        return {}
    return config if isinstance(config.get("seed"), int) else {}
