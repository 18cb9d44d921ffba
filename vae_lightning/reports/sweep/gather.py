"""Reads the runs of one or more sweeps, finished or not, from their folders."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_class

from vae_lightning.config.build import SERVING_KEYS
from vae_lightning.config.builtin import special_entries
from vae_lightning.files import read_json
from vae_lightning.reports.sweep.settings import DIGITS, digits_apart, identity, parsed, show, value_of
from vae_lightning.runs.config_upgrade import upgrade_config
from vae_lightning.runs.sweep_record import Job, Sweep, load

SEED = "seed"
WHERE = ("output_dir", "data.root", "data.download")  # these settings do not make a different run
GREY = "grey pixels under a likelihood for binary ones (not a proper likelihood)"


@dataclass
class RunRow:
    """One job of a sweep.

    Attributes:
        label: the settings in which it differs from the other runs.
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

    @property
    def done(self) -> bool:
        """Whether the run finished."""
        return self.state == "done"

    def shown(self, key: str) -> str:
        """The value of a key with enough digits to distinguish it from the other runs' values."""
        return show(self.settings.get(key), self.digits.get(key, DIGITS))

    def curve(self, kind: str, metric: str) -> list[tuple[int, float]]:
        """(epoch, value) at the end of each epoch, from `metrics.csv`. If a resumed run repeats an epoch, the last row counts."""
        path = self.folder / "metrics.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kind"] == kind and row.get(metric)]
        return sorted({int(float(row["epoch"])) + 1: float(row[metric]) for row in rows}.items())


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
        """The kinds of the finished runs, most frequent first."""
        return [kind for kind, _ in Counter(run.kind for run in self.runs if run.done).most_common()]

    def metric_names(self, split: str) -> list[str]:
        """The names of all metrics of a split, in the order of results.json."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics.get(split, {})))


def gather(folders: Sequence[Path]) -> Gathered:
    """Reads the sweeps in these folders.

    Raises:
        UserError: when a folder is not a sweep.
    """
    # read a sweep only once even if it is given twice, or its runs would count as additional seeds
    sweeps = [load(folder) for folder in {Path(f).expanduser().resolve(): f for f in folders}.values()]
    configs = {folder: _config(folder) for sweep in sweeps for job in sweep.jobs for folder in [sweep.folder / job.folder]}
    runs = [_run(sweep, job, configs[sweep.folder / job.folder]) for sweep in sweeps for job in sweep.jobs]
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


def _run(sweep: Sweep, job: Job, config: dict[str, Any]) -> RunRow:
    state, folder = sweep.true_state(job), sweep.folder / job.folder
    pairs = [text.lstrip("+").partition("=") for text in job.overrides if not text.startswith("~")]
    settings = {key: parsed(value) for key, _, value in pairs if not key.startswith(("hydra", "sweep")) and key not in WHERE}
    run = RunRow(sweep.folder, folder, job.number, job.label, state["state"], state.get("error"), settings, state.get("seconds"))
    results = read_json(folder / "results.json")
    for split in ("val", "test"):
        values = results.get(split) or {}
        run.metrics[split] = {
            name: float(value) for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)
        }
    run.kl_per_dimension = (results.get("test") or {}).get("kl_per_dimension")
    run.kind = kind_of(config) if config else ""
    return run


def kind_of(config: dict[str, Any]) -> str:
    """`mnist5k, bernoulli, dynamic binarisation`: data with its overridden options, likelihood and binarisation."""
    choices, mode = config.get("choices", {}), str(config.get("binarization"))
    options = {f"data.{name}" for name in config.get("data", {}) if name not in (*SERVING_KEYS, "root", "download", "_target_")}
    given = [text for text in config.get("overrides", []) if text.partition("=")[0].lstrip("+") in options]
    pixels = _grey(config) if mode == "none" else f"{mode} binarisation"
    labels = [] if choices.get("condition", "none") == "none" else [f"condition={choices['condition']}"]  # log p(x|c)
    return ", ".join([str(choices.get("data")), *given, str(choices.get("likelihood")), pixels, *labels])


def _grey(config: dict[str, Any]) -> str:
    """Describes grey pixels, and says if the likelihood is not meant for them."""
    target = config.get("likelihood", {}).get("_target_")
    if (("likelihood",), "_target_", target) not in special_entries():  # a user's own code, which a report does not run
        return "grey pixels"
    likelihood = get_class(target)
    return GREY if getattr(likelihood, "support", None) == "binary" else "grey pixels"


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    return upgrade_config(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.exists() else {}
