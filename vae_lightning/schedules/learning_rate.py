"""The learning rate over time: torch's own schedulers, stepped once per training step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vae_lightning.errors import InvalidValue, UserError, check_choice, check_number
from vae_lightning.schedules.beta import UNITS, RunLength, check_length

if TYPE_CHECKING:  # arguments are checked before torch is imported
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class LRSchedule:
    """A recipe for a torch scheduler."""

    def build(self, optimizer: Optimizer, run: RunLength) -> LRScheduler | None:
        """Return the scheduler for a run of this length; None if the learning rate is constant."""
        raise NotImplementedError


class NoLRSchedule(LRSchedule):
    """A constant learning rate."""

    def __init__(self) -> None: ...

    def build(self, optimizer: Optimizer, run: RunLength) -> None:
        return None


class CosineLR(LRSchedule):
    """Half a cosine from lr to `final`·lr over the run (Loshchilov and Hutter 2017, eq. 5, without restarts), then `final`·lr."""

    def __init__(self, final: float = 0.0) -> None:
        self.final = check_number("final", final, 0, 1)

    def build(self, optimizer: Optimizer, run: RunLength) -> LRScheduler:
        from torch.optim.lr_scheduler import LambdaLR

        if not 0 < run.steps < math.inf:
            raise UserError(
                "lr_schedule=cosine falls over the whole run, whose length is unknown: set trainer.max_epochs or "
                "trainer.max_steps, or choose lr_schedule=none."
            )
        return LambdaLR(optimizer, CosineFactor(self.final, run.steps_per("fraction")))


class CosineFactor:
    """Maps a step to the share of lr; an object, since torch keeps its attributes in the checkpoint.

    An extended run thus keeps its original horizon, where `CosineAnnealingLR` would rise again.
    """

    def __init__(self, final: float, steps: float) -> None:
        self.final, self.steps = final, steps

    def __call__(self, step: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(1.0, step / self.steps))) / 2


class MultiStepLR(LRSchedule):
    """Multiplies lr by `gamma` at each milestone, counted in `unit` (fraction of the run, epoch or step)."""

    def __init__(self, milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1, unit: str = "fraction") -> None:
        self.unit = check_choice("unit", unit, UNITS)
        if isinstance(milestones, str) or not isinstance(milestones, Sequence) or not milestones:
            raise InvalidValue("milestones", milestones, "a list of numbers above 0")
        self.milestones = [check_length("milestones", milestone, unit) for milestone in milestones]
        self.gamma = check_number("gamma", gamma, 0, 1, above=True)

    def build(self, optimizer: Optimizer, run: RunLength) -> LRScheduler:
        from torch.optim.lr_scheduler import MultiStepLR

        steps = sorted(round(milestone * run.steps_per(self.unit)) for milestone in self.milestones)
        return MultiStepLR(optimizer, milestones=steps, gamma=self.gamma)
