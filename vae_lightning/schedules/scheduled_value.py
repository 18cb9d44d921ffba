"""A value of a model or an objective that follows a schedule: a capacity, a temperature."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_lightning.schedules.beta import Constant, RunLength, Schedule, check_no_feedback


class ScheduledValue(nn.Module):
    """`value`, a scalar tensor, is the schedule's value at the current training step; a buffer, so that checkpoints keep it.

    The training loop calls `begin` once and `move` before each step; without one the value stays where the schedule starts.
    """

    value: Tensor

    def __init__(self, schedule: Schedule | float) -> None:
        super().__init__()
        self.schedule = check_no_feedback("schedule", schedule) if isinstance(schedule, Schedule) else Constant(schedule)
        self.register_buffer("value", torch.tensor(float(self.schedule.at(0))))

    def begin(self, run: RunLength) -> None:
        """Tell the schedule the length of the run."""
        self.schedule.begin(run)

    def move(self, step: int) -> None:
        """Set `value` to that of `step`."""
        self.value.fill_(self.schedule(step))
