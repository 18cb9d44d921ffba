"""What a search found, by the metrics it searched for (by default those on the validation split)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vae_lightning.reports.sweep.gather import Gathered, RunRow
from vae_lightning.runs.sweep_record import Sweep


def found_by_search(gathered: Gathered) -> list[str]:
    """Return a sentence for each search that has a finished run."""
    sentences = []
    for sweep in gathered.sweeps:
        runs = [run for run in gathered.runs if run.sweep == sweep.folder and run.done]
        sentence = _sentence(sweep, runs)
        if sentence is not None:
            sentences.append(f"{sweep.folder.name}: {sentence}" if len(gathered.sweeps) > 1 else sentence)
    return sentences


def _sentence(sweep: Sweep, runs: Sequence[RunRow]) -> str | None:
    if sweep.search is None:
        return None
    metrics, directions = sweep.search["metrics"], sweep.search["directions"]
    rated = [(run, values) for run in runs if (values := _losses(run, metrics, directions)) is not None]
    best = [run for run, values in rated if not any(_dominates(other, values) for _, other in rated)]
    if not best:
        return None
    if len(metrics) > 1:
        return f"The search's Pareto front of {' and '.join(metrics)}: jobs {', '.join(f'{run.number:03d}' for run in best)}."
    run, (metric,) = best[0], metrics
    split, _, name = metric.partition("/")
    parts = [f"{metric} {run.metrics[split][name]:.2f}"]
    if split != "test" and name in run.metrics["test"]:
        parts.append(f"test {name} {run.metrics['test'][name]:.2f}")
    text = ", ".join(parts).replace(" -", " −")
    return f"The search's best by {metric}: job {run.number:03d} ({run.label}), {text}."


def _losses(run: RunRow, metrics: Sequence[str], directions: Sequence[str]) -> list[float] | None:
    """Return the searched metrics with signs such that lower is better; None if one is missing or not finite."""
    values = []
    for metric, direction in zip(metrics, directions, strict=True):
        split, _, name = metric.partition("/")
        value = run.metrics.get(split, {}).get(name, math.nan)
        values.append(-value if direction == "maximize" else value)
    return values if all(math.isfinite(value) for value in values) else None


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
