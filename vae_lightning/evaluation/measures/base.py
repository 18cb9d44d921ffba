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
        evaluation_table: whether evaluate.py prints it.
        sweep_table: whether the terminal's table of a sweep shows it.
        hparams: whether TensorBoard's HParams tab has a column for it.
        invalidated_by: measures, besides its own, whose new values make an earlier value meaningless.
    """

    name: str
    meaning: str
    unit: str = ""
    better: Direction | None = None
    evaluation_table: bool = True
    sweep_table: bool = False
    hparams: bool = False
    invalidated_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure(ABC):
    """One group of metrics of a trained VAE. A subclass is a dataclass whose fields are its settings.

    A new measure is a subclass in its own file, one line in `evaluation/measures/__init__.py`, and its settings with their
    defaults in `conf/evaluate.yaml`.
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
