"""Compares two run folders bit for bit: metrics, weights, states, TensorBoard entries and file names."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

RESULTS = ("val", "test", "train", "beta", "epochs", "steps", "checkpoint", "seed", "binarization")
EVENTS = "events.out.tfevents*"
# times, and files whose names contain the time
CLOCKS = ("seconds", "images_per_second", "files")


def differences(one: Path, other: Path) -> list[str]:
    """What differs: metrics.csv, results.json, entries of both checkpoints, TensorBoard entries, file names."""
    found = []
    if (one / "metrics.csv").read_bytes() != (other / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (one, other))
    found += [f"results.json: {name}" for name in RESULTS if first.get(name) != second.get(name)]
    for name in ("best.ckpt", "last.ckpt"):
        paths = [folder / "checkpoints" / name for folder in (one, other)]
        if not any(path.exists() for path in paths):  # a run that was never validated has no best one
            continue
        contents = [torch.load(path, weights_only=True) for path in paths]
        found += [f"{name}: {place}" for place in unequal(*contents)]
    entries = [tensorboard(folder) for folder in (one, other)]
    found += [f"TensorBoard: {entry}" for entry in (entries[0] - entries[1]) + (entries[1] - entries[0])]
    found += [f"in one of them only: {name}" for name in sorted(files(one) ^ files(other))]
    return [text[:300] for text in found[:20]]


def unequal(a: Any, b: Any, place: str = "") -> list[str]:
    """The places at which two nested containers differ; tensors are compared byte by byte, so that NaN equals NaN."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.shape == b.shape and a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
        return [] if same else [place]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{place}: keys {sorted(map(str, a.keys() ^ b.keys()))}"]
        return [p for key in a if key not in CLOCKS for p in unequal(a[key], b[key], f"{place}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if all(isinstance(x, int) for x in (*a, *b)) and a != b:
            return [place]
        if len(a) != len(b):
            return [f"{place}: lengths {len(a)} and {len(b)}"]
        return [p for i, (x, y) in enumerate(zip(a, b, strict=True)) for p in unequal(x, y, f"{place}/{i}")]
    return [] if a == b or (a != a and b != b) else [f"{place}: {a!r} and {b!r}"]


def tensorboard(folder: Path) -> Counter[tuple[str, str, int, float | str]]:
    """How often each entry (writer, tag, step, value) is in the event files; an entry written twice would count as 2.

    The value of a scalar is its number; that of a picture or of a row of the HParams tab is a digest of its bytes.
    """
    counted: Counter[tuple[str, str, int, float | str]] = Counter()
    for path in folder.rglob(EVENTS):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if not value.tag.endswith("images_per_second"):
                    numbers = value.tensor.float_val
                    finite = numbers and math.isfinite(numbers[0])  # the first values of the HParams tab are NaN
                    shown = numbers[0] if finite else hashlib.sha256(value.SerializeToString()).hexdigest()[:12]
                    counted[str(path.parent.relative_to(folder)), value.tag, event.step, shown] += 1
    return counted


def files(folder: Path) -> set[str]:
    """The files in a run folder, without a killed process's lock; of event files, which are named by time, only the folders."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.parent / EVENTS if path.match(EVENTS) else path) for path in paths}


def last_step(folder: Path) -> int:
    return int(json.loads((folder / "results.json").read_text())["steps"])
