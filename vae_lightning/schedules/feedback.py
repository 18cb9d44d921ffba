"""β by feedback: schedules that react to the losses of each step, on the device and without a sync.

Their state is made of tensors, replaced rather than changed in place (the step's graph may still hold them). With several
processes each sees the mean over all of them, so β is the same everywhere.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import InvalidValue, check_number, prefix_key
from vae_lightning.schedules.beta import Constant, RunLength, Schedule, check_no_feedback


class FeedbackSchedule(Schedule):
    """β from a state that `update` changes after each step, given the loss called `observed`."""

    uses_feedback = True
    observed: str

    def __init__(self, **state: float) -> None:
        super().__init__("step")
        self.state = {name: torch.tensor(value) for name, value in state.items()}

    def __call__(self, step: int) -> Tensor:
        self.in_force = self.beta(self.state)
        return self.in_force

    def at(self, time: float) -> float:
        return float(self.beta(self.state))

    def move_to(self, device: torch.device) -> None:
        self.state = {name: part.to(device) for name, part in self.state.items()}

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        value = mean_over_ranks(losses[self.observed].detach().float())
        self.state = self.update({name: part.to(value.device) for name, part in self.state.items()}, value)

    @abstractmethod
    def beta(self, state: dict[str, Tensor]) -> Tensor:
        """Return the current β, a scalar."""

    @abstractmethod
    def update(self, state: dict[str, Tensor], value: Tensor) -> dict[str, Tensor]:
        """Return the state after `value` was observed."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "feedback": dict(self.state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.state = dict(state["feedback"])


class GECO(FeedbackSchedule):
    """The smallest KL whose reconstruction error is at most `target` nats (Rezende and Viola 2018, algorithm 1).

    With C = reconstruction − target, the paper minimises KL + λ·C and lets λ grow while C > 0: λ ← λ·exp(rate·C̄), where C̄ is the
    moving average of C over batches (`momentum`). Here β = 1/λ, so that reconstruction + β·KL is that loss divided by λ: it has
    the same minimum, and β, the loss and the learning rate keep their meaning. β starts at 1 and stays within [minimum, maximum].
    """

    option = "beta_schedule=geco"
    observed = "reconstruction"

    def __init__(
        self,
        target: float = 90.0,
        rate: float = 1e-3,
        momentum: float = 0.99,
        minimum: float = 0.01,
        maximum: float = 100.0,
    ) -> None:
        super().__init__(log_beta=0.0, average=math.nan)  # no average before the first step
        self.target, self.rate = check_number("target", target), check_number("rate", rate, 0, above=True)
        if check_number("momentum", momentum, 0, 1) == 1:
            raise InvalidValue("momentum", momentum, "below 1")
        self.momentum = momentum
        self.minimum = check_number("minimum", minimum, 0, 1, above=True)
        self.maximum = check_number("maximum", maximum, 1)

    def beta(self, state: dict[str, Tensor]) -> Tensor:
        return state["log_beta"].exp()

    def update(self, state: dict[str, Tensor], value: Tensor) -> dict[str, Tensor]:
        constraint = value - self.target
        before = state["average"].where(~state["average"].isnan(), constraint)
        average = self.momentum * before + (1 - self.momentum) * constraint
        log_beta = state["log_beta"] - self.rate * average  # λ ← λ·exp(rate·C̄)
        return {"log_beta": log_beta.clamp(math.log(self.minimum), math.log(self.maximum)), "average": average}


class Control(FeedbackSchedule):
    """β that holds the KL at `target` nats, by a proportional and an integral term (Shao et al. 2020, ControlVAE).

    With e = target(t) − KL, β = minimum + K_p/(1 + exp e) − K_i Σ e, within [minimum, maximum], K_p = `proportional` and
    K_i = `integral`. The sum is clipped to the range that β may span, so that it does not wind up (the paper stops it outside
    that range). The target is a number or a schedule.
    """

    option = "beta_schedule=control"
    observed = "kl"
    needs = frozenset({DENSITY})

    def __init__(
        self,
        target: Schedule | float = 20.0,
        proportional: float = 0.01,
        integral: float = 1e-3,
        minimum: float = 0.0,
        maximum: float = 100.0,
    ) -> None:
        super().__init__(beta=float(minimum), sum=0.0)
        given = target if isinstance(target, Schedule) else Constant(check_number("target", target, 0))
        self.target = check_no_feedback("target", given)
        self.proportional = check_number("proportional", proportional, 0)
        self.integral = check_number("integral", integral, 0, above=True)
        self.minimum = check_number("minimum", minimum, 0)
        self.maximum = check_number("maximum", maximum, self.minimum, above=True)
        self.target_now: float | Tensor = self.target.at(0)

    def begin(self, run: RunLength) -> None:
        super().begin(run)
        with prefix_key("target"):
            self.target.begin(run)

    def __call__(self, step: int) -> Tensor:
        self.target_now = self.target(step)
        return super().__call__(step)

    def beta(self, state: dict[str, Tensor]) -> Tensor:
        return state["beta"]

    def update(self, state: dict[str, Tensor], value: Tensor) -> dict[str, Tensor]:
        e = self.target_now - value
        total = (state["sum"] - self.integral * e).clamp(0, self.maximum - self.minimum)
        beta = self.minimum + self.proportional * torch.sigmoid(-e) + total
        return {"beta": beta.clamp_max(self.maximum), "sum": total}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.target.load_state_dict(state["target"])


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return the mean of a scalar over all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
