from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.schedules.beta import RunLength
from vae_lightning.schedules.learning_rate import CosineLR, LRSchedule, MultiStepLR, NoLRSchedule

RUN = RunLength(steps=100, steps_per_epoch=10)


def rates(schedule: LRSchedule, run: RunLength = RUN, lr: float = 0.5) -> list[float]:
    """The learning rate in force at each step of the run, and after it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule.build(optimizer, run)
    seen = []
    for _ in range(101):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return seen


def test_none_changes_nothing() -> None:
    assert rates(NoLRSchedule(), RunLength(math.inf, math.inf)) == [0.5] * 101


@pytest.mark.parametrize("final", [0.0, 0.2, 1.0])
def test_cosine_goes_from_lr_to_its_share(final: float) -> None:
    seen = rates(CosineLR(final))
    formula = [0.5 * (final + (1 - final) * (1 + math.cos(math.pi * step / 100)) / 2) for step in range(101)]
    assert seen == pytest.approx(formula, abs=1e-9)


@pytest.mark.parametrize(("unit", "milestones"), [("fraction", [0.5, 0.75]), ("epoch", [5, 7.5]), ("step", [75, 50])])
def test_multistep_falls_at_each_milestone_in_every_unit(unit: str, milestones: list[float]) -> None:
    seen = rates(MultiStepLR(milestones, gamma=0.1, unit=unit))
    assert seen == pytest.approx([0.5] * 50 + [0.05] * 25 + [0.005] * 26)


@pytest.mark.parametrize(
    ("schedule", "words"), [(CosineLR(), "lr_schedule=none"), (MultiStepLR([0.5]), "unit=fraction: must be epoch")]
)
def test_an_unknown_run_length_is_refused(schedule: LRSchedule, words: str) -> None:
    with pytest.raises(UserError, match=words):
        rates(schedule, RunLength(math.inf, 10))


def test_milestones_in_steps_need_no_run_length() -> None:
    assert rates(MultiStepLR([3], unit="step"), RunLength(math.inf, math.inf))[2:4] == pytest.approx([0.5, 0.05])


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (CosineLR, {"final": -0.1}),
        (CosineLR, {"final": 1.1}),
        (MultiStepLR, {"milestones": []}),
        (MultiStepLR, {"milestones": "0.5"}),
        (MultiStepLR, {"milestones": [0.5, 1.5]}),
        (MultiStepLR, {"milestones": [0]}),
        (MultiStepLR, {"gamma": 0}),
        (MultiStepLR, {"gamma": 2}),
        (MultiStepLR, {"unit": "steps"}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[LRSchedule], bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        kind(**bad)
