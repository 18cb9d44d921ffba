"""What a metric is, and what a measure is. Imports no torch, so that the table of metrics loads fast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult

Direction = Literal["max", "min"]
ERROR_SUFFIX = "_standard_error"  # `nll` has its standard error under `nll_standard_error`


@dataclass(frozen=True)
class Metric:
    """A named value in `results.json`, `metrics.csv`, TensorBoard and the tables.

    Args:
        name: its key in `results.json`; its standard error, if any, is under `<name>_standard_error`.
        meaning: what it is, in a few words.
        unit: `nats` (per image), `bits` (per pixel and channel), or empty.
        better: `max` if higher is better, `min` if lower is better, None if neither.
        digits: decimals that tables show; None: 2 for nats, 4 for any other unit.
        needs_density: whether it is undefined for a posterior without a density.
        evaluation_table: whether evaluate.py prints it.
        sweep_table: whether the terminal's table of a sweep shows it.
        hparams: whether TensorBoard's HParams tab has a column for it.
        progress_bar: whether the progress bar of training shows it.
        learning_curve: whether the page of a sweep draws it by epoch, if it is measured each epoch.
        metrics_csv: whether `metrics.csv` has a column for it: in every run, if the first row has it, or never.
        train_results: whether `results.json` has the value of the last training epoch.
        invalidated_by: measures, besides its own, whose new values make an earlier value meaningless.
    """

    name: str
    meaning: str
    unit: str = ""
    better: Direction | None = None
    digits: int | None = None
    needs_density: bool = False
    evaluation_table: bool = True
    sweep_table: bool = False
    hparams: bool = False
    progress_bar: bool = False
    learning_curve: bool = True
    metrics_csv: Literal["always", "if reported", "never"] = "if reported"
    train_results: bool = True
    invalidated_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure(ABC):
    """One group of metrics of a trained VAE. A subclass is a dataclass whose fields are its settings.

    A new measure is a subclass in its own file, `<name>_measure.py`, one line in `evaluation/measures/__init__.py`, and an
    entry in `conf/evaluate.yaml` with the defaults of its settings.
    """

    name: ClassVar[str]
    by_default: ClassVar[bool] = True  # whether evaluate.py measures it by default
    metrics: ClassVar[tuple[Metric, ...]]

    @abstractmethod
    def measure(self, context: EvaluationContext) -> MeasureResult:
        """Measure the metrics; what cannot be measured is left out, with a note that says why.

        Raises:
            NotImplementedError: the posterior or the prior lacks a density that the measure needs.
        """

    @property
    def is_off(self) -> bool:
        """Whether its settings turn it off."""
        return False

    def announcement(self, context: EvaluationContext) -> str | None:
        """Return a message to show before the measurement, such as that it takes hours; None for no message."""
        return None

    def applies_to(self, context: EvaluationContext) -> bool:
        """Whether it is measured by default on these images."""
        return True


def details(*names_and_meanings: tuple[str, str]) -> Iterable[Metric]:
    """Metrics that are kept in `results.json` but not printed."""
    return (Metric(name, meaning, evaluation_table=False) for name, meaning in names_and_meanings)
