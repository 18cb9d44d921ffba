"""β(t), the weight of the KL over time: functions of the training step, with their state in the checkpoint.

Time is counted in a `unit`: "fraction" of the run (0.25 is its first quarter), "epoch" or "step". A schedule learns the length of
its unit when training begins and keeps it in its state, so a run that is extended later keeps its original horizon.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vae_lightning.errors import InvalidValue, check_choice, check_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNITS = ("fraction", "epoch", "step")


@dataclass(frozen=True)
class RunLength:
    """How many optimizer steps the whole run takes (inf if unknown), and how many make an epoch."""

    steps: float
    steps_per_epoch: float

    def steps_per(self, unit: str) -> float:
        """Return the steps in one `unit`; raise InvalidValue for a fraction of a run of unknown length."""
        lengths = {"fraction": self.steps, "epoch": self.steps_per_epoch, "step": 1.0}
        known = [name for name, length in lengths.items() if math.isfinite(length) and length > 0]
        if unit not in known:
            remedy = "else set trainer.max_epochs or trainer.max_steps"
            raise InvalidValue("unit", unit, f"{' or '.join(known)}, since the run's length is unknown ({remedy})")
        return lengths[unit]


class Schedule(ABC):
    """A value for each training step.

    Attributes:
        option: its name on the command line.
        needs: what the posterior must be able to do (see `vae_lightning.capabilities`).
        uses_feedback: whether it reacts to measured losses.
        in_force: the value returned last: that of the current step, or of the one just finished; None before the first step.

    Args:
        unit: "fraction" of the run, "epoch" or "step".
    """

    option: ClassVar[str] = "beta_schedule"
    needs: ClassVar[AbstractSet[str]] = frozenset()
    uses_feedback: ClassVar[bool] = False
    in_force: float | Tensor | None = None

    def __init__(self, unit: str = "fraction") -> None:
        self.unit = check_choice("unit", unit, UNITS)
        self.steps_per_unit: float | None = None

    def begin(self, run: RunLength) -> None:
        """Set the length of a unit, once: a resumed or extended run keeps the first."""
        if self.steps_per_unit is None:
            self.steps_per_unit = run.steps_per(self.unit)

    def move_to(self, device: torch.device) -> None:  # noqa: B027  most schedules have no tensors
        """Move any tensors in the state to the model's device; called before the first step, so that every step is alike."""

    def __call__(self, step: int) -> float | Tensor:
        if self.steps_per_unit is None:
            raise RuntimeError("Call Schedule.begin(run_length) before the first step.")
        self.in_force = self.at(step / self.steps_per_unit)
        return self.in_force

    @abstractmethod
    def at(self, time: float) -> float:
        """Return the value at `time` ≥ 0, counted in units."""

    def observe(self, losses: Mapping[str, Tensor]) -> None:  # noqa: B027
        """React to the losses of a step, on the device and without a sync; only schedules with feedback do."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps."""
        return {"steps_per_unit": self.steps_per_unit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.steps_per_unit = state["steps_per_unit"]


class Constant(Schedule):
    """β(t) = value."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__("step")
        self.value = check_number("value", value, 0)

    def at(self, time: float) -> float:
        return self.value


class Linear(Schedule):
    """Warm-up in a straight line from `start` to `value` at `warmup` (Bowman et al. 2016; Sønderby et al. 2016)."""

    def __init__(self, value: float = 1.0, start: float = 0.0, warmup: float = 0.25, unit: str = "fraction") -> None:
        super().__init__(unit)
        self.value, self.start = check_number("value", value, 0), check_number("start", start, 0)
        self.warmup = check_length("warmup", warmup, unit)

    def at(self, time: float) -> float:
        return self.start + (self.value - self.start) * min(1.0, time / self.warmup)


class Cosine(Linear):
    """Warm-up along half a cosine, β(t) = start + (value − start)·(1 − cos(π·min(1, t/warmup)))/2, flat at both ends."""

    def at(self, time: float) -> float:
        return self.start + (self.value - self.start) * (1 - math.cos(math.pi * min(1.0, time / self.warmup))) / 2


class Exponential(Schedule):
    """Geometric change, start·(value/start)^min(1, t/length): from `start` to `value` at `length`, both above 0."""

    def __init__(self, value: float = 0.5, start: float = 1.0, length: float = 0.5, unit: str = "fraction") -> None:
        super().__init__(unit)
        self.value, self.start = check_number("value", value, 0, above=True), check_number("start", start, 0, above=True)
        self.length = check_length("length", length, unit)

    def at(self, time: float) -> float:
        return self.start * (self.value / self.start) ** min(1.0, time / self.length)


class Cyclical(Schedule):
    """Cyclical annealing (Fu et al. 2019): in every `period`, from `start` in a straight line to `value`.

    With τ = (t mod period)/period, β = start + (value − start)·min(1, τ/ratio): it rises over the share `ratio` of each cycle,
    then stays at `value`. The paper's M = 4 cycles are period = 1/4 of the run; its R is `ratio`. A run ends at `value`.
    """

    def __init__(
        self, value: float = 1.0, start: float = 0.0, period: float = 0.25, ratio: float = 0.5, unit: str = "fraction"
    ) -> None:
        super().__init__(unit)
        self.value, self.start = check_number("value", value, 0), check_number("start", start, 0)
        self.period = check_length("period", period, unit)
        self.ratio = check_number("ratio", ratio, 0, 1, above=True)

    def at(self, time: float) -> float:
        position = round(time / self.period, 9) % 1.0  # rounded, since 0.6 / 0.2 is less than 3 in floating point
        return self.start + (self.value - self.start) * min(1.0, position / self.ratio)


def check_no_feedback(name: str, schedule: Schedule) -> Schedule:
    """Check that a schedule needs no feedback, for values that get none (only β's schedule observes losses)."""
    if schedule.uses_feedback:
        raise InvalidValue(name, schedule.option, "a schedule without feedback")
    return schedule


def check_length(name: str, value: float, unit: str) -> float:
    """Check a length of time: above 0, and at most 1 if it is a fraction of the run.

    Args:
        name: the argument, for the error message.
        value: the length, in units.
        unit: "fraction", "epoch" or "step".

    Returns:
        The length.

    Raises:
        InvalidValue: it is not above 0, or is a fraction above 1.
    """
    return check_number(name, value, 0, 1 if unit == "fraction" else math.inf, above=True)
