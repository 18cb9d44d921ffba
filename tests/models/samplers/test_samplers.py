"""Samplers fitted to codes whose distribution is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from vae_lightning.errors import RunError, UserError
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.conditions import Label
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal, PointMass
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.samplers import (
    FlowSampler,
    GaussianSampler,
    GMMSampler,
    KDESampler,
    PerClass,
    PriorSampler,
    Sampler,
    TwoStageSampler,
)
from vae_lightning.noise import ExampleNoise, StreamNoise, UnbatchedNoise

D = 3
CENTRES = torch.tensor([[-6.0, 0.0, 1.0], [4.0, 5.0, -30.0], [2.0, -7.0, 40.0]])
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-4.0, 3.0, 2.0]])
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
EVERY: dict[str, Callable[[], Sampler]] = {
    "gaussian": partial(GaussianSampler, D),
    "gmm": partial(GMMSampler, D, components=3),
    "diagonal": partial(GMMSampler, D, components=20, covariance="diagonal"),
    "kde": partial(KDESampler, D),
    "flow": partial(FlowSampler, D, steps=30, hidden=(8,)),
    "two_stage": partial(TwoStageSampler, D, steps=30, hidden=(8,)),
}


def noise(seed: int = 0) -> StreamNoise:
    return StreamNoise(torch.Generator(), seed)


def mixture(n: int, seed: int) -> Tensor:
    """Draws from a mixture of three Gaussians with correlated, differently scaled dimensions."""
    generator = torch.Generator().manual_seed(seed)
    component = torch.multinomial(WEIGHTS, n, replacement=True, generator=generator)
    return CENTRES[component] + torch.randn(n, D, generator=generator) @ FACTOR.T


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2·E‖a − b‖ − E‖a − a'‖ − E‖b − b'‖ (Székely and Rizzo 2013), with each dimension divided by its standard deviation."""
    scale = torch.cat([a, b]).std(0)
    a, b = a / scale, b / scale
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


def p_value(a: Tensor, b: Tensor, permutations: int = 99) -> float:
    """Of the two-sample test by the energy distance: how many random divisions of all points are as far apart."""
    both, found, generator = torch.cat([a, b]), energy_distance(a, b), torch.Generator().manual_seed(0)
    orders = (torch.randperm(len(both), generator=generator) for _ in range(permutations))
    further = sum(energy_distance(both[o[: len(a)]], both[o[len(a) :]]) >= found for o in orders)
    return (1 + further) / (1 + permutations)


def fitted(sampler: Sampler, codes: Tensor, seed: int = 0) -> Sampler:
    assert sampler.fit(codes, seed)
    return sampler


@torch.no_grad()
def drawn(sampler: Sampler, n: int, seed: int = 0) -> Tensor:
    return sampler().rsample((n,), noise(seed))


def test_one_component_has_the_moments_of_the_codes() -> None:
    codes = mixture(5000, 1)
    for sampler in (GaussianSampler(D), GMMSampler(D, components=1)):
        p = fitted(sampler, codes)()
        torch.testing.assert_close(p.mean, codes.mean(0), rtol=1e-4, atol=1e-4)
        covariance = torch.cov(drawn(sampler, 200_000).T)
        torch.testing.assert_close(covariance, torch.cov(codes.T), rtol=0.05, atol=0.3)
        gaussian = torch.distributions.MultivariateNormal(codes.mean(0), torch.cov(codes.T, correction=0))
        torch.testing.assert_close(p.log_prob(codes[:50]), gaussian.log_prob(codes[:50]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("sampler", "passes"),
    [
        (GMMSampler(D, components=3), True),
        (KDESampler(D, bandwidth=0.03), True),
        (FlowSampler(D, kind="spline", transforms=2, hidden=(32, 32), steps=800), True),
        (GaussianSampler(D), False),
    ],
    ids=["gmm", "kde", "flow", "gaussian"],
)
def test_samples_pass_a_two_sample_test_against_a_known_mixture(sampler: Sampler, passes: bool) -> None:
    fitted(sampler, mixture(4000, 1))
    p = p_value(drawn(sampler, 400), mixture(400, 2))
    assert p > 0.05 if passes else p == 0.01


def test_the_second_stage_is_close_to_a_known_mixture() -> None:
    """Its density has gaps between components that a decoder only approximates: far closer than a single Gaussian."""
    codes, others = mixture(4000, 1), mixture(1500, 2)
    second = fitted(TwoStageSampler(D, hidden=(64, 64), steps=1200, lr=0.003), codes)
    gaussian = fitted(GaussianSampler(D), codes)
    distances = [energy_distance(drawn(sampler, 1500), others) for sampler in (second, gaussian)]
    assert distances[0] < 0.25 * distances[1]


def test_expectation_maximisation_raises_the_likelihood() -> None:
    codes, likelihoods = mixture(2000, 1), []
    for iterations in (1, 2, 4, 8, 16, 32):
        sampler = fitted(GMMSampler(D, components=8, iterations=iterations, tolerance=0.0), codes)
        likelihoods.append(float(sampler().log_prob(codes).mean()))
    assert all(after > before for before, after in pairwise(likelihoods)), likelihoods


def test_a_mixture_finds_the_components_that_made_the_codes() -> None:
    sampler = GMMSampler(D, components=3)
    assert "3 components, log q(z) = " in sampler.fit(mixture(20_000, 1), 0)
    order = sampler.log_weights.argsort(descending=True)
    torch.testing.assert_close(sampler.log_weights[order].exp(), WEIGHTS, atol=0.01, rtol=0)
    torch.testing.assert_close(sampler.mean + sampler.scale * sampler.means[order], CENTRES, atol=0.25, rtol=0)
    covariance = (sampler.scale.unsqueeze(-1) * sampler.factors).square().sum(-1)
    torch.testing.assert_close(covariance, (FACTOR @ FACTOR.T).diagonal().expand(3, D), rtol=0.1, atol=0)


def test_a_kernel_density_has_the_codes_variance_and_the_kernels() -> None:
    codes = mixture(3000, 1)
    for bandwidth in (None, 0.5):
        sampler = fitted(KDESampler(D, bandwidth), codes)
        h = len(codes) ** (-1 / (D + 4)) if bandwidth is None else bandwidth
        variance = codes.var(0, correction=0) * (1 + h**2)
        torch.testing.assert_close(drawn(sampler, 100_000).var(0), variance, rtol=0.03, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_fitted_depends_on_codes_and_seed_alone(name: str) -> None:
    codes = mixture(300, 1)
    torch.manual_seed(1)
    first, before = fitted(EVERY[name](), codes), torch.get_rng_state()
    torch.manual_seed(2)
    again = fitted(EVERY[name](), codes)
    assert torch.equal(drawn(first, 50), drawn(again, 50))
    assert not torch.equal(drawn(first, 50), drawn(first, 50, seed=1))
    torch.manual_seed(1)
    assert torch.equal(before, torch.get_rng_state()), "the global generator moved"
    if name in ("flow", "two_stage"):
        assert not torch.equal(drawn(first, 50), drawn(fitted(EVERY[name](), codes, seed=1), 50))


@pytest.mark.parametrize("name", EVERY)
def test_its_tensors_are_all_that_it_is(name: str) -> None:
    first = fitted(EVERY[name](), mixture(300, 1))
    second = EVERY[name]()
    second.make_room(first.state_dict())
    second.load_state_dict(first.state_dict())
    assert torch.equal(drawn(first, 20), drawn(second, 20))


@pytest.mark.parametrize("name", EVERY)
def test_draws_keyed_by_example_do_not_depend_on_the_batch(name: str) -> None:
    sampler = fitted(EVERY[name](), mixture(300, 1))

    def at(examples: list[int]) -> Tensor:
        with torch.no_grad():
            return sampler().rsample((len(examples),), UnbatchedNoise(ExampleNoise(torch.tensor(examples), 0)))

    torch.testing.assert_close(at([3, 1, 2, 0])[1:3], at([1, 2]))
    assert at([5]).shape == (1, D)


@pytest.mark.parametrize("name", EVERY)
def test_few_or_constant_codes_are_no_problem(name: str) -> None:
    constant = mixture(40, 1)
    constant[:, 1] = 7.0
    assert bool(drawn(fitted(EVERY[name](), constant), 10).isfinite().all())
    assert torch.allclose(drawn(fitted(GaussianSampler(D), constant), 10)[:, 1], torch.tensor(7.0), atol=0.1)
    for few in (1, 2):
        assert bool(drawn(fitted(EVERY[name](), mixture(few, 1)), 10).isfinite().all())
    with pytest.raises(RunError, match="codes of the training images are not finite"):
        EVERY[name]().fit(torch.full((5, D), torch.nan), 0)


def test_a_fit_that_diverges_is_said() -> None:
    with pytest.raises(RunError, match=r"diverged .*sampler\.lr"):
        FlowSampler(D, steps=5, lr=1e30).fit(mixture(50, 1), 0)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda: GMMSampler(D, components=0), "components"),
        (lambda: GMMSampler(5000, components=10), "components"),
        (lambda: GMMSampler(D, covariance="spherical"), "covariance"),
        (lambda: KDESampler(D, bandwidth=0.0), "bandwidth"),
        (lambda: FlowSampler(D, kind="planar"), "kind"),
        (lambda: TwoStageSampler(D, hidden=[10**6]), "hidden"),
        (lambda: GaussianSampler(D, images=0), "images"),
    ],
)
def test_wrong_settings_are_named(wrong: Callable[[], Sampler], name: str) -> None:
    with pytest.raises(UserError, match=name):
        wrong()


def vae(condition: Label | None = None) -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([8]), PointMass(D) if condition is None else Diagonal(D), StandardNormal(D), Bernoulli((1, 4, 4)), condition)


def test_a_vae_draws_from_its_sampler_which_is_no_part_of_its_weights() -> None:
    model = vae()
    names, before = set(model.state_dict()), model.sample_latents(2000, noise())
    assert abs(float(before.mean())) < 0.1
    model.use_sampler(fitted(GMMSampler(D, components=3), mixture(2000, 1)))
    after = model.sample_latents(2000, noise())
    torch.testing.assert_close(after.mean(0), (WEIGHTS.unsqueeze(1) * CENTRES).sum(0), atol=1.0, rtol=0)
    torch.testing.assert_close(model.sample(3, noise(1)), model.decode(model.sample_latents(3, noise(1))).mean)
    assert set(model.state_dict()) == names
    model.use_sampler(None)
    assert torch.equal(model.sample_latents(2000, noise()), before)


def test_each_class_has_its_own() -> None:
    labels = torch.arange(300) % 3
    codes = CENTRES[labels] + 0.1 * torch.randn(300, D, generator=torch.Generator().manual_seed(0))
    sampler = PerClass(lambda: GaussianSampler(D), 4)
    sampler.fit(torch.cat([codes, torch.full((5, D), 99.0)]), 0, torch.cat([labels, torch.full((5,), -1)]))
    model = vae(Label(4))
    model.use_sampler(sampler)
    c = torch.tensor([2, 0, 1, 0])
    torch.testing.assert_close(model.sample_latents(4, noise(), c), CENTRES[c], atol=0.6, rtol=0)
    torch.testing.assert_close(sampler(c).mean, CENTRES[c], atol=0.1, rtol=0)
    assert model.sample(5).shape == (5, 1, 4, 4)
    one = GaussianSampler(D)
    one.fit(codes[labels == 2], 0)
    torch.testing.assert_close(sampler(c).log_prob(codes[[2, 0, 1, 3]])[0], one().log_prob(codes[2]), rtol=1e-4, atol=1e-3)

    def at(examples: list[int], classes: list[int]) -> Tensor:
        with torch.no_grad():
            return model.sample_latents(
                len(classes), UnbatchedNoise(ExampleNoise(torch.tensor(examples), 0)), torch.tensor(classes)
            )

    torch.testing.assert_close(at([4, 7], [0, 2])[1:], at([7], [2]))


def test_the_prior_is_not_fitted() -> None:
    assert not PriorSampler.is_fitted
    assert PriorSampler().option == "sampler=prior"
