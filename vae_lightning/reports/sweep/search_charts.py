"""Charts of a search: its history, the importance of each key, the settings of each trial, and the Pareto front."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from vae_lightning.errors import RunError
from vae_lightning.readers import MB, read_bytes
from vae_lightning.reports.sweep.settings import show
from vae_lightning.reports.sweep.svg import INK, MUTED, SERIES, drawing, new_figure, spaced, to_svg
from vae_lightning.runs.study import ReadOnlyJournal, open_storage, study_address
from vae_lightning.runs.sweep_record import Sweep

STUDY_LIMIT = 256 * MB


def study_of(sweep: Sweep) -> optuna.Study | None:
    """Open the study of a search for reading; None if its storage cannot be read.

    A database is opened at its configured address if the sweep is the user's own, and never for a foreign sweep.
    """
    assert sweep.search is not None
    address = study_address(sweep.folder, sweep.search)
    try:
        if sweep.search.get("storage") is not None and not sweep.trusted:
            raise RunError(f"{address} was not opened: this sweep is not signed as yours.")
        if "://" in address:
            storage = open_storage(_present(address))
        else:
            storage = JournalStorage(ReadOnlyJournal(read_bytes(_journal(sweep, Path(address)), STUDY_LIMIT)))
        return optuna.load_study(study_name=sweep.search["study_name"], storage=storage)
    except Exception:  # what Optuna reads may be damaged, or from someone else
        return None


def _journal(sweep: Sweep, path: Path) -> Path:
    """Return the path of the journal. Raise RunError if it is in the sweep's folder but a link leads out of it."""
    return sweep.inside(path) if sweep.search is not None and sweep.search.get("storage") is None else path


def _present(address: str) -> str:
    """Return the address of a database. Raise RunError for a missing SQLite file, which Optuna would create."""
    kind, _, path = address.partition(":///")
    if kind.startswith("sqlite") and not Path(path).is_file():
        raise RunError(f"{address}: no such file.")
    return address


def search_charts(sweep: Sweep) -> dict[str, str]:
    """Return the charts of this search: SVG by title."""
    study = study_of(sweep)
    if study is None or sweep.search is None:
        return {}
    metrics, drawn = list(sweep.search["metrics"]), {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 2:
        return {}
    if len(metrics) == 1:
        drawn["The search, trial by trial"] = history(study, metrics[0])
    else:
        drawn["The Pareto front: no other trial is better in both metrics"] = front(study, metrics)
    for i, metric in enumerate(metrics):
        bars = importances(study, i)
        if bars is not None:
            drawn[f"Which keys matter for {metric}"] = bars
    drawn[f"Settings of each trial; the best tenth by {metrics[0]} in colour"] = parallel(complete, study, metrics)
    return drawn


def history(study: optuna.Study, metric: str) -> str:
    """Plot the metric of each trial and the best so far; pruned trials at their last value."""
    trials = study.get_trials(deepcopy=False)
    done = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    pruned = [t for t in trials if t.state == TrialState.PRUNED and t.intermediate_values]
    better = np.maximum if study.direction == optuna.study.StudyDirection.MAXIMIZE else np.minimum
    values = np.array([t.value for t in done], dtype=float)
    with drawing():
        figure = new_figure(3.6, 2.8)
        ax = figure.add_subplot()
        ax.plot([t.number for t in done], values, "o", color=SERIES[0], markersize=4, alpha=0.7, markeredgewidth=0, label="trial")
        if pruned:
            last = [t.intermediate_values[max(t.intermediate_values)] for t in pruned]
            ax.plot([t.number for t in pruned], last, "x", color=MUTED, markersize=4, label="pruned (last value)")
        ax.plot([t.number for t in done], better.accumulate(values), color=INK, drawstyle="steps-post", label="best so far")
        low, high = np.quantile(values, [0.1, 1.0] if better is np.maximum else [0.0, 0.9])
        margin = 0.1 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
        ax.set(xlabel="trial", ylabel=metric)
        ax.legend(
            frameon=False,
            fontsize=7.5,
            labelcolor=INK,
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.99),
            ncols=3,
            borderpad=0,
            columnspacing=0.9,
            handlelength=1.2,
            handletextpad=0.3,
        )
        return to_svg(figure, f"{metric} of each trial")


def front(study: optuna.Study, metrics: list[str]) -> str:
    """Plot all complete trials by their first two metrics, with a line through those that no other trial dominates."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = sorted(study.best_trials, key=lambda t: t.values[0])
    with drawing():
        figure = new_figure(3.6, 2.8)
        ax = figure.add_subplot()
        ax.plot([t.values[0] for t in complete], [t.values[1] for t in complete], "o", color=MUTED, markersize=4, alpha=0.7)
        ax.plot([t.values[0] for t in best], [t.values[1] for t in best], "-o", color=SERIES[0], markersize=5)
        ax.set(xlabel=metrics[0], ylabel=metrics[1])
        return to_svg(figure, "the trials that no other trial dominates")


def importances(study: optuna.Study, objective: int) -> str | None:
    """PED-ANOVA (Watanabe et al. 2023): which keys distinguish the best trials from the rest."""

    def target(trial: FrozenTrial) -> float:
        value = float(trial.values[objective])
        maximised = study.directions[objective] == optuna.study.StudyDirection.MAXIMIZE
        return -value if maximised else value

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns that lower targets count as better, which is intended
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target=target)
    except (ValueError, RuntimeError, ZeroDivisionError):
        return None  # too few trials, or all alike
    if not found or not all(np.isfinite(list(found.values()))):
        return None
    names = list(found)[::-1]
    with drawing():
        figure = new_figure(3.6, 0.8 + 0.28 * len(names))
        ax = figure.add_subplot()
        ax.barh(names, [found[name] for name in names], color=SERIES[0], height=0.6)
        ax.set(xlabel="importance (PED-ANOVA)", xlim=(0, None))
        ax.grid(visible=False, axis="y")
        return to_svg(figure, "importance of each key")


def parallel(trials: list[FrozenTrial], study: optuna.Study, metrics: list[str]) -> str:
    """Parallel coordinates: a line for each trial across the searched keys and the metrics, each with its own scale."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    columns = [_scale([trial.params.get(key) for trial in trials]) for key in keys]
    columns += [_scale([trial.values[i] for trial in trials]) for i in range(len(metrics))]
    sign = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1
    order = np.argsort([sign * trial.values[0] for trial in trials])
    best = set(order[: max(1, round(len(trials) / 10))].tolist())
    names = [*keys, *metrics]
    with drawing():
        figure = new_figure(max(3.6, 1.05 * len(names)), 3.0)
        ax = figure.add_subplot()
        for i in [*order[::-1]]:
            style: dict[str, Any] = {"color": SERIES[0], "linewidth": 1.8} if i in best else {"color": MUTED, "linewidth": 0.7}
            ax.plot(range(len(names)), [positions[i] for positions, _ in columns], alpha=0.95 if i in best else 0.55, **style)
        for x, (_, ticks) in enumerate(columns):
            ax.axvline(x, color=INK, linewidth=0.6)
            for position, text in ticks:
                ax.annotate(text, (x, position), (3, 0), textcoords="offset points", fontsize=7, color=INK, va="center")
        labels = [name.replace(".", ".\n", 1) for name in names]
        ax.set_xticks(range(len(names)), labels, fontsize=8)
        ax.set_yticks([])
        ax.set_xlim(-0.1, len(names) - 0.55)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        return to_svg(figure, "the settings of each trial")


def _scale(values: list[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Positions in [0, 1] and axis labels: words in order of appearance, numbers of a wide range on a log scale."""
    known = [value for value in values if value is not None]
    words = list(dict.fromkeys(show(value) for value in known))
    if any(isinstance(value, str | bool) for value in known):
        step = 1 / max(1, len(words) - 1)
        return [words.index(show(v)) * step if v is not None else np.nan for v in values], [
            (i * step, w) for i, w in enumerate(words)
        ]
    log = spaced(known)
    numbers = np.array([np.nan if v is None else (np.log(v) if log else v) for v in values], dtype=float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    positions = ((numbers - low) / ((high - low) or 1.0)).tolist()
    middle = np.exp((low + high) / 2) if log else (low + high) / 2
    return positions, [(0.0, f"{min(known):.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{max(known):.3g}")]
