"""Where metrics are written after training: `results.json`, TensorBoard, and a file of values for each image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from vae_lightning.errors import RunError, is_finite
from vae_lightning.evaluation.metrics import HPARAMS_METRICS, drop_outdated
from vae_lightning.files import atomic_write, write_json
from vae_lightning.runs.folder import Run

RESULTS_SCHEMA_VERSION = 1


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Replace `results.json` at the end of training, and delete per-image files, which belong to earlier weights."""
    for path in folder.glob("per_image_*.npz"):
        path.unlink()
    write_json(folder / "results.json", results)


def add_to_results(run: Run, name: str, values: dict[str, Any]) -> Path:
    """Add values to the entry `name` (test, test_last …) of `results.json`, and remove earlier ones that they outdate.

    Args:
        run: the run.
        name: the entry, such as `test` or `test_last`.
        values: metrics by name.

    Returns:
        The path of the file.

    Raises:
        RunError: the file is damaged or cannot be written, or a value is not finite.
    """
    path = run.inside("results.json")
    if bad := [metric for metric, value in values.items() if not all_finite(value)]:
        raise RunError(f"{run.checkpoint} gives NaN or infinity in {', '.join(bad[:5])}: nothing is written to results.json.")
    try:
        results = run.results
        write_json(path, {**results, name: {**drop_outdated(results.get(name, {}), values), **values}})
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be written ({getattr(error, 'strerror', None) or error}): free some space, or check its permissions."
        ) from error
    return path


def all_finite(value: object) -> bool:
    """Whether no number in a value, also in nested lists and mappings, is NaN or infinite, which JSON cannot hold."""
    if isinstance(value, dict | list | tuple):
        return all(map(all_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def add_to_tensorboard(run: Run, name: str) -> None:
    """Write the entry `name` as scalars at the run's last step; test metrics also appear in the HParams tab.

    Values by number of samples become a curve over that number, and lists over latent dimensions a curve over their index. This
    does nothing if the run has no TensorBoard events; those of an earlier evaluation are replaced.
    """
    folder = events_folder(run)
    if folder is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    suffix = f".evaluate-{name}"
    earlier = list(folder.glob(f"events.out.tfevents*{suffix}"))
    results = run.results
    step = results.get("steps") or 0
    writer = SummaryWriter(str(folder), filename_suffix=suffix)
    for metric, value in results[name].items():
        for at, number in _curve(value, step):
            writer.add_scalar(f"{name}/{metric}", number, at)
            if name == "test" and metric in HPARAMS_METRICS:
                writer.add_scalar(f"hp/{metric}", number, at)
    writer.close()
    for path in earlier:
        path.unlink(missing_ok=True)


def _curve(value: object, step: int) -> list[tuple[int, float]]:
    """Return (step, number) for each number in a value: a single one at `step`, those of a list at their index; else none."""
    if isinstance(value, dict):
        return [(int(k), number) for k, number in value.items() if str(k).isdecimal() and int(k) < 2**63 and _is_number(number)]
    if isinstance(value, list):
        return [(place, number) for place, number in enumerate(value) if _is_number(number)]
    return [(step, value)] if _is_number(value) else []


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def events_folder(run: Run) -> Path | None:
    """Return the folder of the run's TensorBoard events: its own, or for a job of a sweep the one in it named after its label."""
    found = [path.parent for depth in ("", "*/") for path in sorted(run.folder.glob(f"{depth}events.out.tfevents*"))]
    own = [path for path in found if path == run.folder or path.name not in ("train", "val")]
    return run.inside(own[0].name) if own and own[0] != run.folder else next(iter(own), None)


def write_per_image(run: Run, name: str, arrays: dict[str, np.ndarray]) -> Path:
    """Write `per_image_<name>.npz`: arrays over images in the order of the split, for paired tests between runs.

    Args:
        run: the run.
        name: the entry, such as `test` or `test_last`.
        arrays: arrays over images by name.

    Returns:
        The path of the file.

    Raises:
        RunError: the file cannot be written.
    """
    path = run.inside(f"per_image_{name}.npz")
    try:
        with atomic_write(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # NumPy annotates **kwds as allow_pickle
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({getattr(error, 'strerror', None) or error}): free some space, or check its permissions."
        ) from error
    return path
