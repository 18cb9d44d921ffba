"""Where the figures of an evaluation go: `results.json`, TensorBoard, and a file of what each image gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vae_lightning.errors import RunError
from vae_lightning.evaluation.metrics import HPARAMS_METRICS, drop_outdated
from vae_lightning.files import atomic_write, write_json
from vae_lightning.runs.folder import Run

RESULTS_SCHEMA_VERSION = 1


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """What training ends with, in place of any `results.json`; files of single images of earlier weights go with its figures."""
    for path in folder.glob("per_image_*.npz"):
        path.unlink()
    write_json(folder / "results.json", results)


def add_to_results(run: Run, name: str, figures: dict[str, Any]) -> Path:
    """Adds figures to the entry `name` (test, test_last …) of `results.json`."""
    path = run.inside("results.json")
    try:
        results = run.results()
        write_json(path, {**results, name: {**drop_outdated(results.get(name, {}), figures), **figures}})
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be written ({error}).") from error
    return path


def add_to_tensorboard(run: Run, name: str) -> None:
    """The numbers of the entry `name` as scalars, and those of test in the HParams tab, at the run's last step.

    Figures by number of samples are a curve over it, and lists over latent dimensions one over their places. Only where the
    run has TensorBoard events; what an earlier evaluation wrote is replaced.
    """
    folder = events_folder(run)
    if folder is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    suffix = f".evaluate-{name}"
    earlier = list(folder.glob(f"events.out.tfevents*{suffix}"))
    results = run.results()
    step = int(results.get("steps", 0))
    writer = SummaryWriter(str(folder), filename_suffix=suffix)
    for figure, value in results[name].items():
        for place, number in _curve(value, step):
            writer.add_scalar(f"{name}/{figure}", number, place)
            if name == "test" and figure in HPARAMS_METRICS:
                writer.add_scalar(f"hp/{figure}", number, place)
    writer.close()
    for path in earlier:
        path.unlink(missing_ok=True)


def _curve(value: Any, step: int) -> list[tuple[int, float]]:
    """(place, number) of each number in a figure: a number by itself is at `step`; nothing of what holds none."""
    if isinstance(value, dict):
        return [(int(samples), number) for samples, number in value.items()]
    if isinstance(value, list):
        return list(enumerate(value))
    return [(step, value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def events_folder(run: Run) -> Path | None:
    """Where the run's TensorBoard events lie: its folder; of a sweep's job, one in it that is named by the job's label."""
    found = [path.parent for depth in ("", "*/") for path in sorted(run.folder.glob(f"{depth}events.out.tfevents*"))]
    own = [path for path in found if path == run.folder or path.name not in ("train", "val")]
    return run.inside(own[0].name) if own and own[0] != run.folder else next(iter(own), None)


def write_per_image(run: Run, name: str, arrays: dict[str, np.ndarray]) -> Path:
    """`per_image_<name>.npz`: arrays over images in the order of the split, for paired tests between runs."""
    path = run.inside(f"per_image_{name}.npz")
    try:
        with atomic_write(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error}).") from error
    return path
