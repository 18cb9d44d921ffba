"""The Gaussians whose σ is learned: one for all pixels, one for each, and the one that is best for the batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_lightning.errors import InvalidValue
from vae_lightning.models.likelihoods import Gaussian, GaussianLearned, GaussianOptimal, GaussianPerPixel, Laplace
from vae_lightning.models.likelihoods.scale import floored_log, inverse_floored_log

SHAPE = (1, 2, 3)


def some() -> tuple[Tensor, Tensor]:
    """Means (samples, batch, *SHAPE) and images (batch, *SHAPE)."""
    return torch.rand(5, 4, *SHAPE), torch.rand(4, *SHAPE)


def rmse(mean: Tensor, x: Tensor) -> float:
    return (mean - x).square().mean().sqrt().item()


def test_floored_log_never_passes_its_floor_and_is_the_identity_far_above() -> None:
    raw = torch.tensor([-1000.0, -10.0, 0.0, 3.0])
    log = floored_log(raw, 0.001)
    assert (log >= math.log(0.001)).all()
    torch.testing.assert_close(log[2:], raw[2:], atol=0.002, rtol=0)
    assert floored_log(torch.tensor(1e6), 0.001) == 5
    for scale in (0.0011, 0.1, 1.0, 20.0):
        assert floored_log(torch.tensor(inverse_floored_log(scale, 0.001)), 0.001).exp().item() == pytest.approx(scale, rel=1e-4)


def test_a_learned_sigma_starts_where_it_is_told_and_is_a_gaussian_s() -> None:
    (mean, x), likelihood = some(), GaussianLearned(SHAPE, sigma=0.3)
    assert [name for name, _ in likelihood.named_parameters()] == ["log_sigma"]
    assert likelihood.sigma.item() == pytest.approx(0.3, rel=1e-5)
    torch.testing.assert_close(likelihood(mean).log_prob(x), Gaussian(SHAPE, 0.3)(mean).log_prob(x))


def test_a_learned_sigma_is_pulled_to_the_root_mean_squared_error() -> None:
    mean, x = some()
    for factor, sign in ((0.9, -1), (1.0, 0), (1.1, 1)):
        likelihood = GaussianLearned(SHAPE, sigma=factor * rmse(mean, x), min_sigma=1e-6)
        (-likelihood(mean).log_prob(x).mean()).backward()
        gradient = likelihood.log_sigma.grad
        assert gradient is not None
        assert gradient.sign() == sign if sign else gradient.abs() < 1e-4


def test_a_sigma_per_pixel_is_torch_s_with_the_mean_first() -> None:
    parameters, x = torch.randn(5, 4, 4, 2, 3), torch.rand(4, 2, 2, 3)
    likelihood = GaussianPerPixel((2, 2, 3), min_sigma=0.01)
    assert likelihood.out_shape == (4, 2, 3)
    mean, raw = parameters[:, :, :2], parameters[:, :, 2:]
    sigma = 0.01 * (1 + (raw - math.log(0.01)).exp())
    torch.testing.assert_close(likelihood(parameters).log_prob(x), Independent(Normal(mean, sigma), 3).log_prob(x))
    assert torch.equal(likelihood(parameters).mean, mean)


def test_a_density_of_pixels_that_are_predicted_exactly_is_bounded_by_the_floor() -> None:
    for min_sigma in (0.05, 0.01):
        likelihood = GaussianPerPixel(SHAPE, min_sigma)
        p = likelihood(torch.cat([torch.zeros(SHAPE), torch.full(SHAPE, -1e4)]))
        assert p.log_prob(torch.zeros(SHAPE)).item() == pytest.approx(6 * (-math.log(min_sigma) - 0.5 * math.log(2 * math.pi)))


def test_the_optimal_sigma_minimises_the_loss_of_its_batch() -> None:
    (mean, x), likelihood = some(), GaussianOptimal(SHAPE)
    loss = -likelihood(mean).log_prob(x).mean()
    torch.testing.assert_close(loss, -Gaussian(SHAPE, rmse(mean, x))(mean).log_prob(x).mean())
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        assert loss < -Gaussian(SHAPE, factor * rmse(mean, x))(mean).log_prob(x).mean()


def test_no_gradient_is_lost_by_holding_the_optimal_sigma() -> None:
    """d/dμ of min_σ loss(μ, σ) is the partial derivative at the optimum, whether or not σ's own gradient is followed."""
    mean, x = some()
    mean.requires_grad_()
    (ours,) = torch.autograd.grad(GaussianOptimal(SHAPE)(mean).log_prob(x).mean(), mean)
    followed = (mean - x).square().mean().sqrt()
    (through,) = torch.autograd.grad(Independent(Normal(mean, followed), 3).log_prob(x).mean(), mean)
    torch.testing.assert_close(ours, through, atol=1e-5, rtol=1e-4)


def test_the_run_s_sigma_is_the_mean_of_the_first_batches_and_then_moves_on() -> None:
    likelihood, (mean, x) = GaussianOptimal(SHAPE, momentum=0.25), some()
    assert likelihood.sigma == 1
    errors, expected = [], 0.0
    for _ in range(6):
        batch = x + torch.randn_like(x)
        likelihood(mean).log_prob(batch)
        errors.append(rmse(mean, batch) ** 2)
        expected = sum(errors) / len(errors) if len(errors) <= 4 else 0.75 * expected + 0.25 * errors[-1]
        assert likelihood.mse.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(likelihood.sigma, likelihood.mse.sqrt())


def test_outside_of_training_the_optimal_sigma_is_the_run_s_and_stays() -> None:
    (mean, x), likelihood = some(), GaussianOptimal(SHAPE)
    likelihood(mean).log_prob(x)
    sigma = likelihood.sigma.item()
    again = GaussianOptimal(SHAPE)
    again.load_state_dict(likelihood.state_dict())
    other = 3 * x + 1
    expected = Gaussian(SHAPE, sigma)(mean).log_prob(other)
    torch.testing.assert_close(again.eval()(mean).log_prob(other), expected)
    with torch.no_grad():  # in training mode too
        torch.testing.assert_close(likelihood(mean).log_prob(other), expected)
    assert likelihood.sigma.item() == sigma == again.sigma.item()


def test_the_optimal_sigma_has_a_floor() -> None:
    x = torch.rand(4, *SHAPE)
    likelihood = GaussianOptimal(SHAPE, min_sigma=0.02)
    mean = (x + 1e-5).requires_grad_()
    log_prob = likelihood(mean).log_prob(x)
    torch.testing.assert_close(log_prob, Gaussian(SHAPE, 0.02)(mean).log_prob(x))
    exact = likelihood(x.clone().requires_grad_()).log_prob(x)
    (gradient,) = torch.autograd.grad(log_prob.sum() + exact.sum(), mean)
    assert gradient.isfinite().all()


def test_laplace_is_torch_s() -> None:
    mean, x = some()
    expected = Independent(torch.distributions.Laplace(mean, 0.2), 3)
    p = Laplace(SHAPE, scale=0.2)(mean)
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x))
    assert torch.equal(p.mean, mean)


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (GaussianLearned, {"sigma": 0}),
        (GaussianLearned, {"min_sigma": 0}),
        (GaussianLearned, {"sigma": 0.0005}),
        (GaussianPerPixel, {"min_sigma": 0}),
        (GaussianPerPixel, {"min_sigma": math.inf}),
        (GaussianOptimal, {"momentum": 0}),
        (GaussianOptimal, {"momentum": 1.1}),
        (GaussianOptimal, {"min_sigma": -1}),
        (Laplace, {"scale": 0}),
        (Laplace, {"scale": "wide"}),
    ],
)
def test_values_out_of_range_are_refused(make: type, bad: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        make(SHAPE, **bad)
