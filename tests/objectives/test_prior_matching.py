"""Penalties that pull q(z) to p(z): an adversary, and the sliced Wasserstein distance."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.linear_gaussian import LinearGaussian, random_images
from tests.objectives.gradients import stream
from tests.running import SHORT, Runner
from vae_lightning.errors import UserError
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.objectives import Objective
from vae_lightning.objectives.penalty import AdversarialPenalty, Penalty, SlicedWassersteinPenalty

MU = torch.tensor([0.8, -0.4])


def terms(z: Tensor) -> Any:
    """Codes z, (n, latent_dim), and the prior N(0, I)."""
    d = z.shape[-1]
    return SimpleNamespace(z=z.unsqueeze(0), p=DiagonalNormal(torch.zeros(d), torch.ones(d)))


def gaussian(n: int, seed: int, mean: Tensor) -> Tensor:
    return mean + torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed))


def log_ratio(z: Tensor) -> Tensor:
    """log N(z; μ, I) − log N(z; 0, I)."""
    return z @ MU - MU.square().sum() / 2


# ---------------------------------------------------------------- adversarial


def test_the_optimal_discriminator_of_two_gaussians_is_their_log_density_ratio() -> None:
    torch.manual_seed(0)
    penalty = AdversarialPenalty(2, hidden=(32, 32))
    optimizer = torch.optim.Adam(penalty.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    for step in range(800):
        loss, reported = penalty(terms(gaussian(1000, step, MU)), 1.0, stream(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    points = gaussian(500, -1, MU / 2)
    with torch.no_grad():
        found = penalty.discriminator(points)
    assert (found - log_ratio(points)).square().mean().sqrt() < 0.15
    assert (found - log_ratio(points)).mean().abs() < 0.05
    _, reported = penalty(terms(gaussian(50_000, -2, MU)), 1.0, stream(-1))
    assert float(reported["prior_log_ratio"].detach()) == pytest.approx(float(MU.square().sum()) / 2, abs=0.05)  # KL(q ‖ p)


def test_no_discriminator_is_better_than_the_log_density_ratio() -> None:
    z, u = gaussian(200_000, 1, MU), gaussian(200_000, 2, torch.zeros(2))

    def cross_entropy(change: float, slope: float) -> float:
        real, fake = (change + slope * log_ratio(points) for points in (z, u))
        return float(F.softplus(-real).mean() + F.softplus(fake).mean()) / 2

    best = cross_entropy(0.0, 1.0)
    assert all(cross_entropy(*other) > best for other in ((0.1, 1.0), (-0.1, 1.0), (0.0, 1.2), (0.0, 0.8)))
    assert best < math.log(2)


def test_one_backward_pass_gives_the_gradients_of_two() -> None:
    model, x, penalty = LinearGaussian(exact=False), random_images(32), AdversarialPenalty(2, weight=3.0, hidden=(8, 8))
    Objective(penalty=penalty)(model.vae, x, 1.0, stream())["loss"].backward()
    noise = stream()
    elbo = Objective()(model.vae, x, 1.0, noise)["loss"]
    z = model.vae.encode(x).rsample((1,), stream())[0]
    u = model.vae.prior().rsample((len(z),), noise)
    of_encoder = elbo - 3.0 * F.logsigmoid(-penalty.discriminator(z)).mean()
    expected = list(torch.autograd.grad(of_encoder, list(model.vae.parameters())))
    real, fake = penalty.discriminator(z.detach()), penalty.discriminator(u)
    of_discriminator = -(F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()) / 2
    expected += torch.autograd.grad(of_discriminator, list(penalty.parameters()))
    found = [parameter.grad for parameter in (*model.vae.parameters(), *penalty.parameters())]
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


def test_codes_are_pulled_to_the_prior() -> None:
    """Both penalties move codes of N(μ, I) to mean 0, where the discriminator cannot tell them from draws of the prior."""
    torch.manual_seed(0)
    for penalty in (AdversarialPenalty(2, hidden=(32,), weight=1.0), SlicedWassersteinPenalty(weight=1.0)):
        mean = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
        optimizer = torch.optim.Adam([mean, *penalty.parameters()], lr=0.02)
        for step in range(400):
            loss, _ = penalty(terms(mean + gaussian(256, step, torch.zeros(2))), 1.0, stream(step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert float(mean.detach().norm()) < 0.4


def test_the_discriminator_may_have_its_own_learning_rate() -> None:
    assert AdversarialPenalty(2).parameter_groups() == []
    (group,) = AdversarialPenalty(2, lr=0.01).parameter_groups()
    assert group["lr"] == 0.01
    assert len(group["params"]) == 8


def test_another_latent_dim_is_refused() -> None:
    vae = VAE(MLP([8]), Diagonal(3), StandardNormal(3), Bernoulli((1, 4, 4)))
    with pytest.raises(UserError, match=r"objective\.penalty\.latent_dim=2"):
        Objective(penalty=AdversarialPenalty(2)).check(vae)


# ---------------------------------------------------------------- sliced Wasserstein


@pytest.mark.parametrize("d", [1, 2, 10])
def test_the_distance_of_two_shifted_gaussians(d: int) -> None:
    """SW² of N(μ, I) and N(0, I) is ‖μ‖²/d."""
    mean = torch.linspace(0.5, 1.5, d)
    penalty, expected = SlicedWassersteinPenalty(projections=500), float(mean.square().sum()) / d
    u = gaussian(500, 1, torch.zeros(d))
    assert float(penalty.distance(u + mean, u, stream())) == pytest.approx(expected, rel=0.1)  # the same draws, shifted
    z, u = gaussian(5000, 1, mean), gaussian(5000, 2, torch.zeros(d))
    assert float(penalty.distance(z, u, stream())) == pytest.approx(expected, rel=0.15)


def test_along_one_line_it_is_the_mean_squared_difference_of_sorted_numbers() -> None:
    z, u = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[0.0], [4.0], [1.0]])
    assert float(SlicedWassersteinPenalty(projections=7).distance(z, u, stream())) == pytest.approx(1.0)
    points = gaussian(50, 0, MU)
    assert float(SlicedWassersteinPenalty().distance(points, points.flip(0), stream())) < 1e-10


def test_directions_are_drawn_from_the_noise() -> None:
    penalty, z = SlicedWassersteinPenalty(projections=3), gaussian(100, 0, MU)
    first, again, other = (float(penalty(terms(z), 1.0, stream(seed))[0]) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("penalty", [AdversarialPenalty(2), SlicedWassersteinPenalty()])
def test_without_noise_the_global_generator_is_used(penalty: Penalty) -> None:
    value, reported = penalty(terms(gaussian(10, 0, MU)), 1.0, None)
    assert all(bool(part.isfinite()) for part in (value, *reported.values()))


@pytest.mark.parametrize("objective", ["adversarial", "sliced_wasserstein"])
def test_a_run_of_an_auto_encoder_is_resumed_exactly(runner: Runner, objective: str) -> None:
    arguments = (*SHORT, f"objective={objective}", "posterior=delta", "sampler=prior", "lr_schedule=none", "logger=none")
    whole = runner.trained(*arguments, "trainer.gradient_clip_val=1")
    part = runner.trained(*arguments, "trainer.gradient_clip_val=1", "trainer.max_epochs=1")
    assert runner("train", f"resume={part}", "trainer.max_epochs=2").status == 0
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (whole, part))
    assert all(torch.equal(one[name], other[name]) for name in one)
