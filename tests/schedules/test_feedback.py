"""β by feedback on toy losses that react to β like a VAE: settling, states, several processes."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from vae_lightning.errors import InvalidValue
from vae_lightning.schedules import feedback
from vae_lightning.schedules.beta import Constant, Linear, RunLength
from vae_lightning.schedules.feedback import GECO, Control, FeedbackSchedule

RUN = RunLength(steps=4000, steps_per_epoch=100)


def reconstruction(beta: Tensor) -> Tensor:
    """Between 80 and 120 nats, worse as β grows; 90 at β = 1/3."""
    return 80 + 40 * beta / (1 + beta)


def kl(beta: Tensor) -> Tensor:
    """Between 40 nats and none, less as β grows; 10 at β = 3."""
    return 40 / (1 + beta)


def run(schedule: FeedbackSchedule, steps: int, first: int = 0, noise: float = 0.0) -> list[Tensor]:
    """β at each step."""
    schedule.begin(RUN)
    generator = torch.Generator().manual_seed(first)
    betas = []
    for step in range(first, first + steps):
        beta = schedule(step)
        off = noise * torch.randn((), generator=generator)
        schedule.observe({"reconstruction": reconstruction(beta) + off, "kl": kl(beta) + off})
        betas.append(beta)
    return betas


@pytest.mark.parametrize(("target", "beta"), [(90.0, 1 / 3), (110.0, 3.0)])
def test_geco_settles_where_the_constraint_is_met(target: float, beta: float) -> None:
    betas = run(GECO(target=target, momentum=0.9), 3000, noise=2.0)
    assert betas[0].item() == 1.0
    assert torch.stack(betas[-500:]).mean().item() == pytest.approx(beta, rel=0.05)


def test_geco_by_hand() -> None:
    schedule = GECO(target=90.0, rate=0.01, momentum=0.5)
    schedule.begin(RUN)
    averages = []
    for value in (100.0, 94.0, 86.0):
        schedule.observe({"reconstruction": torch.tensor(value)})
        averages.append(schedule.state["average"].item())
    assert averages == pytest.approx([10, 7, 1.5])
    assert schedule(3).item() == pytest.approx(torch.tensor(-0.01 * 18.5).exp().item())  # 1/λ


def test_geco_keeps_beta_within_its_bounds() -> None:
    for target, bound in ((0.0, 0.1), (500.0, 7.0)):
        assert run(GECO(target=target, rate=0.1, minimum=0.1, maximum=7.0), 200)[-1].item() == pytest.approx(bound)


@pytest.mark.parametrize(("target", "beta"), [(10.0, 3.0), (32.0, 0.25)])
def test_control_holds_the_kl_at_its_target(target: float, beta: float) -> None:
    betas = run(Control(target=target, integral=1e-3), 3000, noise=1.0)
    assert torch.stack(betas[-500:]).mean().item() == pytest.approx(beta, rel=0.05)


def test_control_by_hand() -> None:
    schedule = Control(target=10.0, proportional=0.5, integral=0.1, minimum=0.2, maximum=2.0)
    schedule.begin(RUN)
    found = [schedule(0).item()]
    for step, value in enumerate((12.0, 9.0, 100.0, 12.0), 1):
        schedule.observe({"kl": torch.tensor(value)})
        found.append(schedule(step).item())
    sigmoid = torch.tensor([2.0, -1.0]).sigmoid()
    # the sum goes 0.2, 0.1, then to the most that it may be, 1.8
    assert found == pytest.approx([0.2, 0.2 + 0.5 * sigmoid[0].item() + 0.2, 0.2 + 0.5 * sigmoid[1].item() + 0.1, 2.0, 2.0])
    assert schedule.state["sum"].item() == pytest.approx(1.8)


def test_control_does_not_wind_up() -> None:
    """After a long time with an unreachable target, it reverses at once."""
    schedule = Control(target=0.0, integral=0.01, maximum=5.0)
    run(schedule, 1000)
    schedule.target = Constant(30.0)
    schedule.target.begin(RUN)
    assert run(schedule, 100, first=1000)[-1].item() == pytest.approx(1 / 3, abs=0.2)


def test_controls_target_may_follow_a_schedule() -> None:
    schedule = Control(target=Linear(value=20.0, start=5.0, warmup=0.5), integral=1e-2)
    betas = run(schedule, 4000)
    assert kl(betas[1000]).item() == pytest.approx(12.5, abs=1.0)
    assert kl(betas[-1]).item() == pytest.approx(20.0, abs=0.3)


@pytest.mark.parametrize("make", [lambda: GECO(target=90.0), lambda: Control(target=Linear(value=20.0, warmup=0.5))])
def test_a_state_read_back_goes_on_exactly(make) -> None:
    whole = run(make(), 60)
    first, file = make(), io.BytesIO()
    run(first, 25)
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make()
    second.load_state_dict(torch.load(file, weights_only=True))
    second.begin(RunLength(steps=9999, steps_per_epoch=7))  # an extended run keeps its original horizon
    assert [beta.item() for beta in run(second, 35, first=25)] == [beta.item() for beta in whole[25:]]


@pytest.mark.parametrize("schedule", [GECO(), Control()])
def test_beta_of_a_step_is_not_changed_by_what_the_step_measured(schedule: FeedbackSchedule) -> None:
    schedule.begin(RUN)
    beta, weight = schedule(0), torch.ones((), requires_grad=True)
    loss = beta * weight.square()
    schedule.observe({"kl": loss + 30, "reconstruction": loss + 200})
    before = beta.item()
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2 * before)
    assert schedule(1) != before
    assert not schedule(1).requires_grad


def test_every_process_sees_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(feedback.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(feedback.dist, "all_reduce", lambda value: value.add_(40.0))  # that of the other process
    here = torch.tensor(20.0)
    assert feedback.mean_over_ranks(here).item() == 30.0
    assert here.item() == 20.0


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (GECO, {"rate": 0}),
        (GECO, {"momentum": 1.0}),
        (GECO, {"momentum": -0.1}),
        (GECO, {"minimum": 0}),
        (GECO, {"maximum": 0.5}),
        (Control, {"target": -1}),
        (Control, {"target": GECO()}),
        (Control, {"integral": 0}),
        (Control, {"minimum": -1}),
        (Control, {"minimum": 2.0, "maximum": 2.0}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[FeedbackSchedule], bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{list(bad)[-1]}="):
        kind(**bad)


@pytest.mark.parametrize("schedule", [GECO(), Control(), Control(target=Linear(value=10))])
def test_the_state_is_on_the_device_of_the_model_from_the_first_step(schedule: FeedbackSchedule) -> None:
    """Otherwise a compiled step would be compiled twice. The meta device stands in for a GPU."""
    schedule.begin(RUN)
    schedule.move_to(torch.device("meta"))
    assert {part.device.type for part in schedule.state.values()} == {"meta"}
    assert isinstance(beta := schedule(0), Tensor)
    assert beta.device.type == "meta"
