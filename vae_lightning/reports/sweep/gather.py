"""Reads the runs of one or more sweeps, finished or not, from their folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from hydra.utils import get_class

from vae_lightning.config.build import SERVING_KEYS
from vae_lightning.config.builtin import special_entries
from vae_lightning.errors import RunError, printable
from vae_lightning.readers import one_reason, read_yaml
from vae_lightning.reports.sweep.history import History, read_history
from vae_lightning.reports.sweep.settings import DIGITS, digits_apart, identity, parsed, show, value_of
from vae_lightning.runs.config_upgrade import upgrade_config
from vae_lightning.runs.schemas import ResultsFile, read_results
from vae_lightning.runs.sweep_record import DAMAGED, Job, Sweep, load

SEED = "seed"
WHERE = ("output_dir", "data.root", "data.download")  # runs that differ only in these settings are the same
GREY = "grey pixels under a likelihood for binary ones (not a proper likelihood)"


class ConfigFile(msgspec.Struct):
    """The part of a run's `config.yaml` that a report reads."""

    choices: dict[str, str | None]
    data: dict[str, Any] = {}
    likelihood: dict[str, Any] = {}
    binarization: str | None = None
    overrides: list[str] = []


@dataclass
class RunRow:
    """One job of a sweep.

    Attributes:
        label: the settings in which it differs from the other runs.
        state: see `sweep_record.STATES`; "damaged" if one of its files cannot be read.
        error: why it failed or is damaged; for a finished run, a problem with its `metrics.csv`.
        settings: the value of each overridden key.
        metrics: the numbers in results.json, by split and name.
        kind: data, likelihood and binarisation: only metrics of the same kind can be compared.
        digits: the number of digits that distinguishes the values of each key.
    """

    sweep: Path
    folder: Path
    number: int
    label: str
    state: str
    error: str | None
    settings: dict[str, Any]
    seconds: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    kl_per_dimension: list[float] | None = None
    kind: str = ""
    digits: dict[str, int] = field(default_factory=dict)
    history: History | None = None

    @property
    def done(self) -> bool:
        """Whether the run finished."""
        return self.state == "done"

    def shown(self, key: str) -> str:
        """Return the value of a key with enough digits to distinguish it from the other runs' values."""
        return show(self.settings.get(key), self.digits.get(key, DIGITS))

    def curve(self, kind: str, metric: str) -> list[tuple[int, float]]:
        """Return (epoch, value) at the end of each epoch, from `metrics.csv`; of a repeated epoch, the last row counts."""
        if self.history is None:
            self.history, _ = read_history(self.folder / "metrics.csv")
        return sorted((epoch + 1, value) for epoch, value in self.history.get((kind, metric), {}).items())


@dataclass
class Gathered:
    """All runs, and the keys in which they differ (including `seed`), in the order of the command line."""

    sweeps: list[Sweep]
    runs: list[RunRow]
    swept: list[str]

    @property
    def keys(self) -> list[str]:
        """The swept keys without the seed, which is averaged over."""
        return [key for key in self.swept if key != SEED]

    def kinds(self) -> list[str]:
        """Return the kinds of the finished runs, most frequent first."""
        return [kind for kind, _ in Counter(run.kind for run in self.runs if run.done).most_common()]

    def metric_names(self, split: str) -> list[str]:
        """Return the names of all metrics of a split, in the order of results.json."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics.get(split, {})))


def gather(folders: Sequence[Path]) -> Gathered:
    """Read the sweeps in these folders.

    Raises:
        UserError: a folder is not a sweep.
    """
    # a sweep that is given twice is read once, or its runs would count as additional seeds
    sweeps = [load(folder) for folder in {Path(f).resolve(): f for f in folders}.values()]
    found = [_run(sweep, job) for sweep in sweeps for job in sweep.jobs]
    runs, configs = [run for run, _ in found], {run.folder: config for run, config in found}
    overridden = dict.fromkeys(key for run in runs for key in run.settings)
    for run in runs:
        for key in overridden:
            # a key that only another sweep overrides has its default value here
            run.settings[key] = value_of(configs[run.folder], key, run.settings.get(key))
    swept = [key for key in overridden if len({identity(run.settings[key]) for run in runs if run.settings[key] is not None}) > 1]
    digits = {key: digits_apart(run.settings[key] for run in runs) for key in swept}
    for run in runs:
        run.digits = digits
        own = " ".join(f"{key}={run.shown(key)}" for key in swept if run.settings[key] is not None)
        run.label = own or run.label
    return Gathered(sweeps, runs, swept)


def _run(sweep: Sweep, job: Job) -> tuple[RunRow, dict[str, Any]]:
    """Return a job and its configuration. Damaged files of its own make this job damaged, but no other."""
    state, folder = sweep.true_state(job), sweep.folder / job.folder
    pairs = [text.lstrip("+").partition("=") for text in job.overrides if not text.startswith("~")]
    settings = {key: parsed(value) for key, _, value in pairs if not key.startswith(("hydra", "sweep")) and key not in WHERE}
    error, label = state.get("error"), printable(job.label)
    run = RunRow(sweep.folder, folder, job.number, label, state["state"], error and printable(error), settings)
    run.seconds = state.get("seconds")
    try:
        for name in ("config.yaml", "results.json", "metrics.csv"):
            sweep.inside(folder / name)
        config, results = _config(folder), _results(folder)
        _fill(run, config, results)
    except RunError as damage:
        run.state, run.error = DAMAGED, printable(str(damage))
        return run, {}
    run.history, damaged = read_history(folder / "metrics.csv")
    run.error = run.error or damaged
    return run, config


def _fill(run: RunRow, config: dict[str, Any], results: ResultsFile | None) -> None:
    """Fill in what the run's files say. Raise RunError if they are missing from a finished run."""
    if run.done and results is None:
        raise RunError(f"{run.folder / 'results.json'} is missing, although the job is done.")
    if run.done and not config:
        raise RunError(f"{run.folder / 'config.yaml'} is missing, although the job is done.")
    for split in ("val", "test"):
        run.metrics[split] = results.numbers(split) if results else {}
    run.kl_per_dimension = ((results and results.test) or {}).get("kl_per_dimension")
    run.kind = printable(kind_of(config)) if config else ""


def _results(folder: Path) -> ResultsFile | None:
    try:
        return read_results(folder)
    except FileNotFoundError:
        return None


def kind_of(config: dict[str, Any]) -> str:
    """Name data with its overridden options, likelihood and binarisation: `mnist5k, bernoulli, dynamic binarisation`."""
    choices, mode = config.get("choices", {}), str(config.get("binarization"))
    options = {f"data.{name}" for name in config.get("data", {}) if name not in (*SERVING_KEYS, "root", "download", "_target_")}
    given = [text for text in config.get("overrides", []) if text.partition("=")[0].lstrip("+") in options]
    pixels = _grey(config) if mode == "none" else f"{mode} binarisation"
    labels = [] if choices.get("condition", "none") == "none" else [f"condition={choices['condition']}"]  # log p(x|c)
    return ", ".join([str(choices.get("data")), *given, str(choices.get("likelihood")), pixels, *labels])


def _grey(config: dict[str, Any]) -> str:
    """Describe grey pixels, and say if the likelihood is not meant for them."""
    target = config.get("likelihood", {}).get("_target_")
    if not isinstance(target, str) or (("likelihood",), "_target_", target) not in special_entries():
        return "grey pixels"  # the likelihood is a user's own code, which a report does not run
    likelihood = get_class(target)
    return GREY if getattr(likelihood, "support", None) == "binary" else "grey pixels"


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run; empty if it has none. Raise RunError if it is damaged."""
    path = folder / "config.yaml"
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        return {}
    try:
        found = upgrade_config(content) if isinstance(content, dict) else content
        msgspec.convert(found, ConfigFile)
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged and cannot be read: {one_reason(error)}.") from error
    return {str(key): value for key, value in found.items()}
