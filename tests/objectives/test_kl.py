from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import ExampleNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.bound import IWAE
from vae_lightning.objectives.gradient import DoublyReparameterised, StickingTheLanding
from vae_lightning.objectives.kl import CapacityKL, FreeBitsKL, KLTerm
from vae_lightning.schedules.beta import Linear, RunLength
from vae_lightning.schedules.feedback import GECO


def draws(means: list[list[float]], gradients: bool = False) -> Any:
    """KL(N(m, 1) ‖ N(0, 1)) = m²/2 of each dimension."""
    mean = torch.tensor(means, requires_grad=gradients)
    q, p = DiagonalNormal(mean, torch.ones_like(mean)), DiagonalNormal(torch.zeros(mean.shape[1]), torch.ones(mean.shape[1]))
    kl = mean.square().sum(1) / 2
    return SimpleNamespace(q=q, p=p, kl=kl, mean_kl=kl.mean(), mean=mean)


def test_free_bits_by_hand() -> None:
    given = draws([[2.0, 1.0, 0.0, 0.2], [4.0, 1.0, 1.0, 0.0]])
    # mean KL of each dimension: (2 + 8)/2, (0.5 + 0.5)/2, (0 + 0.5)/2, (0.02 + 0)/2
    assert float(FreeBitsKL(nats=0.3)(given, 1.0)) == pytest.approx(5 + 0.5 + 0.3 + 0.3)
    assert float(FreeBitsKL(nats=0.3)(given, 2.0)) == pytest.approx(2 * 6.1)
    assert float(FreeBitsKL(nats=0.3, group_size=2)(given, 1.0)) == pytest.approx(5.5 + 0.3)
    assert float(FreeBitsKL(nats=0.0)(given, 1.0)) == pytest.approx(given.kl.mean().item())


def test_a_dimension_with_less_than_its_free_bits_is_left_alone() -> None:
    given = draws([[2.0, 0.1], [2.0, 0.3]], gradients=True)
    FreeBitsKL(nats=0.5)(given, 1.0).backward()
    assert given.mean.grad.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_capacity_by_hand() -> None:
    given = draws([[2.0, 0.0], [2.0, 2.0]])  # KL 2 and 4
    assert float(CapacityKL(gamma=10.0, capacity=5.0)(given, 1.0)) == pytest.approx(20)
    assert float(CapacityKL(gamma=10.0, capacity=1.0)(given, 7.0)) == pytest.approx(20)


def test_the_capacity_follows_its_schedule_and_is_reported() -> None:
    capacity = CapacityKL(gamma=1.0, capacity=Linear(value=8.0, warmup=0.5))
    capacity.capacity.begin(RunLength(100, 10))
    reported = []
    for step in (0, 25, 50, 100):
        capacity.capacity.move(step)
        reported.append(capacity.report()["capacity"])
    assert [value.item() for value in reported] == [0.0, 4.0, 8.0, 8.0]  # none of them overwritten by the next step


def test_a_capacity_gets_no_feedback() -> None:
    with pytest.raises(InvalidValue, match="beta_schedule=geco: must be a schedule without feedback"):
        CapacityKL(capacity=GECO())


def test_capacity_pushes_the_kl_from_both_sides() -> None:
    for capacity, sign in ((5.0, -1.0), (1.0, 1.0)):
        given = draws([[2.0, 0.0], [2.0, 2.0]], gradients=True)
        CapacityKL(gamma=1.0, capacity=capacity)(given, 1.0).backward()
        torch.testing.assert_close(given.mean.grad, sign * given.mean.detach() / 2)


def test_the_discrete_part_may_have_a_capacity_of_its_own() -> None:
    continuous, discrete = torch.tensor([2.0, 4.0], requires_grad=True), torch.tensor([0.5, 1.5], requires_grad=True)
    kl = CapacityKL(gamma=10.0, capacity=2.0, discrete=Linear(value=2.0, warmup=0.5))
    assert kl.discrete is not None
    kl.discrete.begin(RunLength(100, 10))
    kl.discrete.move(40)  # to 1.6
    loss = kl(SimpleNamespace(kl_by_part={"continuous": continuous, "discrete": discrete}), 7.0)
    assert loss.item() == pytest.approx(10 * (1.0 + 0.6))
    slopes = torch.autograd.grad(loss, (continuous, discrete))
    assert [slope.tolist() for slope in slopes] == [[5.0, 5.0], [-5.0, -5.0]]  # one is too large, the other too small
    assert {name: value.item() for name, value in kl.report().items()} == pytest.approx({"capacity": 2, "capacity_discrete": 1.6})


def test_a_capacity_of_the_discrete_part_needs_one_and_its_kl() -> None:
    kl = CapacityKL(discrete=2.0)
    with pytest.raises(UserError, match=r"^objective.kl.discrete is incompatible with posterior=\w+: it needs a code of two"):
        Objective(kl=kl).check(LinearGaussian(exact=False).vae)
    with pytest.raises(UserError, match="is incompatible with objective/gradient=stl"):
        Objective(kl=kl, gradient=StickingTheLanding())
    with pytest.raises(InvalidValue, match=r"^discrete=-1"):
        CapacityKL(discrete=-1)


def test_in_an_objective() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)

    def losses(kl: KLTerm, beta: float = 1.0) -> dict[str, float]:
        found = Objective(kl=kl)(model.vae, x, beta, ExampleNoise(torch.arange(6), 0))
        return {name: value.item() for name, value in found.items()}

    free = losses(FreeBitsKL(nats=10.0), 0.5)
    assert free["loss"] == pytest.approx(free["reconstruction"] + 0.5 * 2 * 10.0)
    held = losses(CapacityKL(gamma=2.0, capacity=50.0))
    assert held["loss"] == pytest.approx(held["reconstruction"] + 2 * (50 - held["kl"]), rel=1e-5)
    assert held["capacity"] == 50.0


def test_beta_has_no_part_in_a_capacity() -> None:
    assert not Objective(kl=CapacityKL()).uses_beta(LinearGaussian().vae)
    assert Objective(kl=FreeBitsKL()).uses_beta(LinearGaussian().vae)


@pytest.mark.parametrize("kl", [FreeBitsKL(), CapacityKL()])
def test_a_bound_without_a_kl_term_is_refused(kl: KLTerm) -> None:
    with pytest.raises(UserError, match=r"objective/kl=\w+ is incompatible with objective/bound=iwae"):
        Objective(IWAE(2), kl=kl)


@pytest.mark.parametrize("gradient", [StickingTheLanding(), DoublyReparameterised()])
def test_free_bits_take_the_kl_by_its_formula(gradient: StickingTheLanding) -> None:
    with pytest.raises(UserError, match=r"objective/kl=free_bits is incompatible with objective/gradient=(stl|dreg)"):
        Objective(gradient=gradient, kl=FreeBitsKL())


def test_groups_have_to_divide_the_latent_dimensions() -> None:
    with pytest.raises(UserError, match=r"group_size=3: must be a divisor of latent_dim, which is 2"):
        Objective(kl=FreeBitsKL(group_size=3)).check(LinearGaussian().vae)
    Objective(kl=FreeBitsKL(group_size=2)).check(LinearGaussian().vae)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [(FreeBitsKL, {"nats": -0.1}), (FreeBitsKL, {"group_size": 0}), (CapacityKL, {"gamma": -1}), (CapacityKL, {"capacity": -1})],
)
def test_values_out_of_range_are_refused(kind: type[KLTerm], bad: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        kind(**bad)
