from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.linear_gaussian import LinearGaussian, random_images
from tests.objectives.gradients import stream
from vae_lightning.errors import InvalidValue
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.objectives import Objective
from vae_lightning.objectives.bound import IWAE, PIWAE, Bound
from vae_lightning.objectives.gradient import DoublyReparameterised, GradientEstimator, Reparameterised
from vae_lightning.objectives.penalty import (
    AdversarialPenalty,
    DIPPenalty,
    FactorVAEPenalty,
    MMDPenalty,
    NoPenalty,
    Penalty,
    RAEPenalty,
    SlicedWassersteinPenalty,
    TotalCorrelationPenalty,
)
from vae_lightning.objectives.penalty.dip import covariance_of
from vae_lightning.objectives.penalty.factor import permuted


def every_penalty() -> list[Penalty]:
    return [
        NoPenalty(),
        TotalCorrelationPenalty(100),
        FactorVAEPenalty(2, hidden=(8,)),
        MMDPenalty(),
        DIPPenalty("I"),
        DIPPenalty("II"),
        RAEPenalty(),
        RAEPenalty("weights"),
        AdversarialPenalty(2, hidden=(8,)),
        SlicedWassersteinPenalty(),
    ]


# ---------------------------------------------------------------- factor


def correlated(size: int, rho: float = 0.9) -> Tensor:
    z = torch.randn(size, 2)
    return torch.stack([z[:, 0], rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]], 1)


def test_one_backward_pass_gives_the_gradients_of_two() -> None:
    model, x, penalty = LinearGaussian(exact=False), random_images(32), FactorVAEPenalty(2, gamma=3.0, hidden=(8, 8))
    Objective(penalty=penalty)(model.vae, x, 1.0, stream())["loss"].backward()
    together = {name: p.grad for name, p in [*model.vae.named_parameters(), *penalty.named_parameters()]}

    def codes() -> tuple[Tensor, Tensor, Any]:
        noise = stream()
        draws = Objective()(model.vae, x, 1.0, noise)
        z = model.vae.encode(x).rsample((1,), stream())[0]
        return draws["loss"], z, noise

    elbo, z, noise = codes()
    loss = elbo + 3.0 * penalty.discriminator(z).mean()
    vae_gradients = torch.autograd.grad(loss, list(model.vae.parameters()))
    shuffled = permuted(z.detach(), noise)
    real, fake = penalty.discriminator(z.detach()), penalty.discriminator(shuffled)
    loss = -(F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()) / 2
    gradients = [*vae_gradients, *torch.autograd.grad(loss, list(penalty.parameters()))]
    for (name, found), expected in zip(together.items(), gradients, strict=True):
        torch.testing.assert_close(found, expected, msg=name)


def test_the_discriminator_learns_the_density_ratio() -> None:
    """TC of a Gaussian pair = −½ log(1 − ρ²)."""
    penalty = FactorVAEPenalty(2, hidden=(32, 32))
    optimizer = torch.optim.Adam(penalty.parameters(), lr=5e-3)
    for step in range(300):
        draws: Any = SimpleNamespace(z=correlated(500).unsqueeze(0))
        _, reported = penalty(draws, 1.0, stream(step))
        optimizer.zero_grad()
        reported["discriminator_loss"].backward()
        optimizer.step()
    z = correlated(20_000)
    assert penalty.discriminator(z).mean().item() == pytest.approx(-0.5 * math.log(1 - 0.81), abs=0.1)
    assert reported["discriminator_loss"] < math.log(2) - 0.1


def test_permuted_codes_keep_their_marginals_and_lose_what_they_shared() -> None:
    z = correlated(2000)
    shuffled = permuted(z, stream())
    assert torch.equal(shuffled.sort(0).values, z.sort(0).values)
    assert torch.corrcoef(shuffled.T)[0, 1].abs() < 0.1 < torch.corrcoef(z.T)[0, 1]
    assert torch.equal(shuffled, permuted(z, stream()))
    assert not torch.equal(shuffled, permuted(z, stream(1)))


def test_the_discriminator_has_to_take_all_of_z() -> None:
    Objective(penalty=FactorVAEPenalty(2)).check(LinearGaussian().vae)
    with pytest.raises(InvalidValue, match=r"latent_dim=3: must be that of z, which is 2"):
        Objective(penalty=FactorVAEPenalty(3)).check(LinearGaussian().vae)


def test_the_discriminators_learning_rate_makes_a_group_of_its_own() -> None:
    assert Objective(penalty=FactorVAEPenalty(2)).parameter_groups() == []
    penalty = FactorVAEPenalty(2, lr=1e-4)
    (group,) = Objective(penalty=penalty).parameter_groups()
    assert group["lr"] == 1e-4
    assert {id(p) for p in group["params"]} == {id(p) for p in penalty.parameters()}


# ---------------------------------------------------------------- mmd


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_against_a_double_loop(kernel: str) -> None:
    z, u = torch.randn(5, 3), torch.randn(5, 3) + 1

    def k(a: Tensor, b: Tensor) -> float:
        squared, total = (a - b).square().sum().item(), 0.0
        for c in (2 * 3 * 0.5, 2 * 3 * 2.0):
            total += c / (c + squared) if kernel == "imq" else math.exp(-squared / c)
        return total

    pairs = [(i, j) for i, j in product(range(5), range(5)) if i != j]
    within = sum(k(z[i], z[j]) + k(u[i], u[j]) for i, j in pairs) / 20
    across = sum(k(a, b) for a, b in product(z, u)) / 25
    assert MMDPenalty(kernel=kernel, scales=[0.5, 2.0]).mmd(z, u).item() == pytest.approx(within - 2 * across, abs=1e-5)


def test_mmd_is_zero_in_expectation_for_equal_distributions_and_positive_for_others() -> None:
    mmd = MMDPenalty().mmd
    equal = torch.stack([mmd(torch.randn(6, 2), torch.randn(6, 2)) for _ in range(2000)])
    other = torch.stack([mmd(torch.randn(6, 2) * 0.5, torch.randn(6, 2)) for _ in range(500)])
    assert equal.mean().abs() < 4 * equal.std() / 2000**0.5
    assert other.mean() > 10 * other.std() / 500**0.5
    assert mmd(torch.randn(1, 2), torch.randn(1, 2)).isfinite()


# ---------------------------------------------------------------- dip


def test_dip_against_the_covariance() -> None:
    mean, scale = torch.randn(50, 3) @ torch.randn(3, 3), torch.rand(50, 3) + 0.5
    draws: Any = SimpleNamespace(q=DiagonalNormal(mean, scale))
    first = torch.cov(mean.T, correction=0)
    second = first + scale.square().mean(0).diag()
    torch.testing.assert_close(covariance_of(mean), first)
    for variant, covariance in (("I", first), ("II", second)):
        expected = torch.zeros(())
        for i, j in product(range(3), range(3)):
            expected = expected + (4.0 * (covariance[i, j] - 1) ** 2 if i == j else 2.0 * covariance[i, j] ** 2)
        penalty, reported = DIPPenalty(variant, off_diagonal=2.0, diagonal=4.0)(draws, 1.0, None)
        torch.testing.assert_close(penalty, expected)
        torch.testing.assert_close(reported["dip"], expected)


def test_dip_ii_is_the_covariance_of_the_codes() -> None:
    mean, scale = torch.randn(20, 2), torch.tensor([0.5, 1.5]).expand(20, 2)
    q = DiagonalNormal(mean, scale)
    z = q.rsample((20_000,), stream()).flatten(0, 1)
    torch.testing.assert_close(torch.cov(z.T), covariance_of(mean) + q.variance.mean(0).diag(), atol=0.03, rtol=0)


# ---------------------------------------------------------------- rae


def test_the_gradient_penalty_is_the_squared_norm_of_the_jacobian() -> None:
    """The Jacobian of a linear decoder is its weight W, so the penalty is ‖W‖² and its derivative 2W."""
    model, x = LinearGaussian(), random_images(1).expand(20_000, -1, -1, -1)
    losses = Objective(penalty=RAEPenalty(weight=1.0))(model.vae, x, 1.0, stream())
    weight = model.vae.decoder[0].weight  # type: ignore[index]
    assert losses["smoothness"].item() == pytest.approx(weight.square().sum().item(), rel=0.03)
    (slope,) = torch.autograd.grad(losses["smoothness"], weight)
    torch.testing.assert_close(slope, 2 * weight.detach(), atol=0.05, rtol=0)


def test_weight_decay_of_the_decoder_and_the_norm_of_the_codes() -> None:
    model, x = LinearGaussian(), random_images(6)
    penalty = RAEPenalty("weights", weight=0.5)
    losses = Objective(penalty=penalty)(model.vae, x, 3.0, stream())
    plain = Objective()(model.vae, x, 1.0, stream())
    z = model.vae.encode(x).rsample((1,), stream())
    torch.testing.assert_close(losses["code_norm"], 0.5 * z.square().sum(2).mean())
    squares = sum(p.square().sum() for p in model.vae.decoder.parameters())
    torch.testing.assert_close(losses["loss"], plain["loss"] + 3 * losses["code_norm"] + 0.5 * squares)
    assert Objective(penalty=penalty).uses_beta(model.vae)


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("penalty", every_penalty(), ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(("bound", "gradient"), [(IWAE(4), Reparameterised()), (PIWAE(4, 2), DoublyReparameterised())])
def test_a_penalty_adds_its_own_gradient_whatever_the_bound(bound: Bound, gradient: GradientEstimator, penalty: Penalty) -> None:
    """The weights of a bound's gradient at z do not affect the penalty's."""
    model, x = LinearGaussian(exact=False), random_images(6)
    parameters = list(model.vae.parameters())

    def of(objective: Objective, *leave_out: Tensor) -> list[Tensor]:
        losses = objective(model.vae, x, 2.0, stream())
        found = torch.autograd.grad(losses["loss"] - sum(leave_out), parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]

    whole, alone = of(Objective(bound, gradient, penalty=penalty)), of(Objective(bound, gradient))
    for a, b, g in zip(whole, alone, penalty_gradient(penalty, model, x, bound.samples), strict=True):
        torch.testing.assert_close(a, b + g, atol=1e-4, rtol=1e-4)
        assert a.isfinite().all()


def penalty_gradient(penalty: Penalty, model: LinearGaussian, x: Tensor, samples: int) -> list[Tensor]:
    from vae_lightning.objectives.terms import ELBOTerms

    noise, parameters = stream(), list(model.vae.parameters())
    value, _ = penalty(ELBOTerms(model.vae, x, samples, noise), 2.0, noise)
    if not isinstance(value, Tensor):
        return [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


@pytest.mark.parametrize("penalty", every_penalty(), ids=lambda p: type(p).__name__)
def test_the_same_noise_gives_the_same_penalty(penalty: Penalty) -> None:
    model, x = LinearGaussian(), random_images(6)
    once, twice = (Objective(penalty=penalty)(model.vae, x, 2.0, stream()) for _ in range(2))
    torch.testing.assert_close(once, twice, rtol=0, atol=0)
    assert all(value.shape == () and value.dtype == torch.float32 for value in once.values())


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (FactorVAEPenalty, {"latent_dim": 2, "gamma": -1}),
        (FactorVAEPenalty, {"latent_dim": 2, "hidden": []}),
        (FactorVAEPenalty, {"latent_dim": 2, "lr": -1}),
        (MMDPenalty, {"weight": -1}),
        (MMDPenalty, {"kernel": "linear"}),
        (MMDPenalty, {"scales": []}),
        (MMDPenalty, {"scales": [0.0]}),
        (DIPPenalty, {"variant": "III"}),
        (DIPPenalty, {"diagonal": -1}),
        (RAEPenalty, {"regulariser": "spectral"}),
        (RAEPenalty, {"weight": -1}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[Penalty], bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{list(bad)[-1]}="):
        kind(**bad)
