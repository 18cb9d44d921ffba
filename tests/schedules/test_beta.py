from __future__ import annotations

import math

import pytest

from vae_lightning.errors import InvalidValue
from vae_lightning.schedules.beta import Constant, Cosine, Cyclical, Exponential, Linear, RunLength, Schedule

RUN = RunLength(steps=1000, steps_per_epoch=50)


def begun(schedule: Schedule, run: RunLength = RUN) -> Schedule:
    schedule.begin(run)
    return schedule


def test_constant() -> None:
    schedule = begun(Constant(2.5), RunLength(math.inf, math.inf))
    assert [schedule(step) for step in (0, 1, 10**6)] == [2.5, 2.5, 2.5]


@pytest.mark.parametrize("kind", [Linear, Cosine])
@pytest.mark.parametrize(("unit", "warmup"), [("fraction", 0.2), ("epoch", 4), ("step", 200)])
def test_warm_ups_at_their_corners_in_every_unit(kind: type[Linear], unit: str, warmup: float) -> None:
    schedule = begun(kind(value=3.0, start=1.0, warmup=warmup, unit=unit))
    assert schedule(0) == 1.0
    assert schedule(100) == pytest.approx(2.0)
    assert schedule(199) < 3.0
    assert [schedule(step) for step in (200, 201, 1000, 5000)] == pytest.approx([3.0] * 4)


def test_a_warm_up_may_go_down() -> None:
    schedule = begun(Linear(value=1.0, start=4.0, warmup=100, unit="step"))
    assert [schedule(step) for step in (0, 50, 100, 150)] == [4.0, 2.5, 1.0, 1.0]


def test_linear_rises_in_equal_steps_and_cosine_flat_at_both_ends() -> None:
    linear, cosine = begun(Linear(warmup=100, unit="step")), begun(Cosine(warmup=100, unit="step"))
    assert [linear(step) for step in (25, 75)] == [0.25, 0.75]
    assert [cosine(step) for step in (25, 75)] == pytest.approx([(1 - math.sqrt(0.5)) / 2, (1 + math.sqrt(0.5)) / 2])
    assert cosine(1) < 0.001
    assert cosine(99) > 0.999


def test_exponential_falls_by_the_same_factor() -> None:
    schedule = begun(Exponential(value=0.25, start=1.0, length=0.5))
    assert [schedule(step) for step in (0, 250, 500, 1000)] == pytest.approx([1.0, 0.5, 0.25, 0.25])
    assert schedule(101) / schedule(100) == pytest.approx(schedule(1) / schedule(0))


def test_cycles_at_their_corners() -> None:
    schedule = begun(Cyclical(value=2.0, start=0.5, period=0.25, ratio=0.5))
    for cycle in range(4):
        first = 250 * cycle
        assert schedule(first) == 0.5
        assert schedule(first + 50) == pytest.approx(0.5 + 1.5 * 0.4)
        assert [schedule(first + step) for step in (125, 126, 249)] == pytest.approx([2.0] * 3)


@pytest.mark.parametrize("cycles", range(1, 13))
def test_every_cycle_begins_at_the_start_whatever_the_rounding(cycles: int) -> None:
    schedule = begun(Cyclical(period=1 / cycles), RunLength(1000 * cycles, 10))
    assert [schedule(1000 * cycle) for cycle in range(cycles)] == pytest.approx([0.0] * cycles, abs=1e-6)
    assert [schedule(1000 * cycle - 1) for cycle in range(1, cycles + 1)] == [1.0] * cycles


def test_a_cycle_with_ratio_one_is_a_saw() -> None:
    schedule = begun(Cyclical(period=10, ratio=1.0, unit="step"))
    assert [schedule(step) for step in (0, 1, 9, 10, 15)] == pytest.approx([0.0, 0.1, 0.9, 0.0, 0.5])


@pytest.mark.parametrize("schedule", [Linear(warmup=0.2), Cosine(warmup=0.2), Cyclical(period=0.2), Constant(3.0)])
def test_a_prolonged_run_keeps_its_first_horizon(schedule: Schedule) -> None:
    begun(schedule)
    values = [schedule(step) for step in range(0, 2000, 7)]
    resumed = type(schedule)(**{k: v for k, v in vars(schedule).items() if k in ("value", "warmup", "period")})
    resumed.load_state_dict(schedule.state_dict())
    resumed.begin(RunLength(steps=5000, steps_per_epoch=50))
    assert [resumed(step) for step in range(0, 2000, 7)] == values


def test_the_state_is_plain_data() -> None:
    assert begun(Linear(warmup=0.2)).state_dict() == {"steps_per_unit": 1000}
    assert Linear().state_dict() == {"steps_per_unit": None}


def test_a_state_saved_before_the_run_began_fixes_nothing() -> None:
    schedule = Linear(warmup=0.5)
    schedule.load_state_dict(Linear(warmup=0.5).state_dict())
    assert begun(schedule)(250) == 0.5


@pytest.mark.parametrize(
    ("unit", "run"),
    [
        ("fraction", RunLength(math.inf, 50)),
        ("fraction", RunLength(0, 50)),
        ("epoch", RunLength(1000, math.inf)),
        ("epoch", RunLength(1000, math.nan)),
    ],
)
def test_an_unknown_run_length_is_refused(unit: str, run: RunLength) -> None:
    with pytest.raises(InvalidValue, match=f"unit={unit}"):
        begun(Linear(warmup=1, unit=unit), run)


def test_steps_need_no_run_length() -> None:
    assert begun(Linear(warmup=10, unit="step"), RunLength(math.inf, math.inf))(5) == 0.5


def test_a_schedule_that_has_not_begun_has_no_value() -> None:
    with pytest.raises(RuntimeError, match="begin"):
        Linear()(0)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (Constant, {"value": -1}),
        (Linear, {"value": -1}),
        (Linear, {"start": -1}),
        (Linear, {"warmup": 0}),
        (Linear, {"warmup": 1.5}),
        (Linear, {"unit": "epochs"}),
        (Cosine, {"warmup": -1, "unit": "step"}),
        (Exponential, {"value": 0}),
        (Exponential, {"length": 1.5}),
        (Cyclical, {"period": 0}),
        (Cyclical, {"period": 1.01}),
        (Cyclical, {"ratio": 0}),
        (Cyclical, {"ratio": 1.1}),
        (Cyclical, {"value": math.nan}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[Schedule], bad: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        kind(**bad)  # type: ignore[arg-type]


def test_lengths_in_epochs_and_steps_may_exceed_one() -> None:
    assert begun(Linear(warmup=10, unit="epoch"))(250) == 0.5
    assert begun(Cyclical(period=400, unit="step"))(100) == 0.5
