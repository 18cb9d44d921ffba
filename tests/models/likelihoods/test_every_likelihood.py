"""What holds for every likelihood: densities that sum to 1, means and draws that agree with them, finite gradients, shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.linear_gaussian import random_images
from tests.running import REPOSITORY
from vae_lightning.errors import InvalidValue
from vae_lightning.models import likelihoods
from vae_lightning.models.architectures import MLP, Architecture, Conv, ResNet
from vae_lightning.models.likelihoods import Likelihood
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.objectives import Objective

Shape = tuple[int, int, int]
LIKELIHOODS: dict[str, Callable[[Shape], Likelihood]] = {
    getattr(likelihoods, name).option.removeprefix("likelihood="): getattr(likelihoods, name)
    for name in likelihoods.__all__
    if name != "Likelihood"
}
GREY = [name for name in LIKELIHOODS if name != "bernoulli"]
every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
PIXEL = (1, 1, 1)


def spread(likelihood: Likelihood, count: int, scale: float = 3.0) -> Tensor:
    """Decoder outputs (count, *out_shape) of many sizes; log σ at most 2."""
    parameters = (scale * torch.randn(count, *likelihood.out_shape)).clamp(-8, 8)
    parameters[:, likelihood.shape[0] :].clamp_(max=2)
    return parameters


def values(likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """All values of one pixel (n,), or a fine grid of them, and the weight of each in a sum or an integral, float64."""
    if likelihood.support == "binary":
        return torch.tensor([0.0, 1.0]), torch.ones(2, dtype=torch.float64)
    if likelihood.discrete_levels:
        return torch.arange(256) / 255, torch.ones(256, dtype=torch.float64)
    bounded = isinstance(likelihood, likelihoods.ContinuousBernoulli)
    grid = torch.linspace(0, 1, 20_001) if bounded else torch.linspace(-60, 60, 240_001)
    weight = torch.full_like(grid, (grid[-1] - grid[0]).item() / (len(grid) - 1)).double()
    weight[0] = weight[-1] = weight[0] / 2
    return grid, weight


def test_every_option_is_here() -> None:
    assert {*LIKELIHOODS, "auto"} == {Path(p).stem for p in (REPOSITORY / "conf" / "likelihood").glob("*.yaml")}


@every_likelihood
def test_it_sums_to_one_and_its_mean_is_the_mean(name: str) -> None:
    likelihood = LIKELIHOODS[name](PIXEL).eval()
    x, weight = values(likelihood)
    parameters = spread(likelihood, 12)
    with torch.no_grad():
        p = likelihood(parameters)
        probability = p.log_prob(x.view(-1, 1, *PIXEL)).double().exp() * weight[:, None]
    torch.testing.assert_close(probability.sum(0), torch.ones(12, dtype=torch.float64), atol=2e-5, rtol=0)
    mean = (probability * x[:, None].double()).sum(0)
    torch.testing.assert_close(p.mean.flatten().double(), mean, atol=2e-5, rtol=2e-5)


@every_likelihood
def test_draws_have_the_moments_of_the_density(name: str) -> None:
    likelihood = LIKELIHOODS[name](PIXEL).eval()
    x, weight = values(likelihood)
    parameters = spread(likelihood, 6, 1.5)
    with torch.no_grad():
        p = likelihood(parameters)
        probability = p.log_prob(x.view(-1, 1, *PIXEL)).double().exp() * weight[:, None]
    draws = p.sample((40_000,)).flatten(1).double()
    assert ((draws >= x[0]) & (draws <= x[-1])).all()
    for power in (1, 2):
        moment = (probability * x[:, None].double() ** power).sum(0)
        error = draws.pow(power).std(0) / 200
        assert ((draws.pow(power).mean(0) - moment).abs() < 4.5 * error + 1e-5).all()


@every_likelihood
def test_shapes(name: str) -> None:
    shape = (3, 2, 4)
    likelihood, x = LIKELIHOODS[name](shape), random_images(4, shape).round()
    p = likelihood(spread(likelihood, 20).unflatten(0, (5, 4)))
    assert likelihood.shape == shape
    assert (tuple(p.batch_shape), tuple(p.event_shape)) == ((5, 4), shape)
    assert p.log_prob(x).shape == (5, 4)
    assert p.log_prob(x.expand(7, 5, 4, *shape)).shape == (7, 5, 4)
    assert p.mean.shape == (5, 4, *shape)
    assert p.sample((2,)).shape == (2, 5, 4, *shape)


@every_likelihood
def test_pixels_are_independent_and_each_has_its_own_parameters(name: str) -> None:
    """The log-probability of an image is the sum over its pixels, each given by the outputs at its own place."""
    shape = (1, 2, 3)
    likelihood, x = LIKELIHOODS[name](shape).eval(), random_images(2, shape).round()
    parameters = spread(likelihood, 2)
    whole = likelihood(parameters).log_prob(x)
    for place in ((0, 0), (1, 2)):
        i, j = place
        other, moved = x.clone(), parameters.clone()
        other[:, :, i, j] = 1 - x[:, :, i, j]
        moved[:, :, i, j] += 0.7
        alone = LIKELIHOODS[name](PIXEL).eval()
        alone.load_state_dict(likelihood.state_dict())
        pick = (slice(None), slice(None), slice(i, i + 1), slice(j, j + 1))
        change = alone(parameters[pick]).log_prob(other[pick]) - alone(parameters[pick]).log_prob(x[pick])
        torch.testing.assert_close(likelihood(parameters).log_prob(other) - whole, change, atol=1e-2, rtol=1e-3)
        change = alone(moved[pick]).log_prob(x[pick]) - alone(parameters[pick]).log_prob(x[pick])
        torch.testing.assert_close(likelihood(moved).log_prob(x) - whole, change, atol=1e-2, rtol=1e-3)


@every_likelihood
def test_an_image_does_not_depend_on_its_batch_where_it_is_measured(name: str) -> None:
    shape = (2, 3, 3)
    likelihood, x = LIKELIHOODS[name](shape), random_images(5, shape).round()
    parameters = spread(likelihood, 5)
    for mode in (likelihood.eval(), likelihood.train()):
        with torch.no_grad():
            whole = mode(parameters).log_prob(x)
            torch.testing.assert_close(mode(parameters[3:4]).log_prob(x[3:4])[0], whole[3])


@every_likelihood
@pytest.mark.parametrize("train", [False, True])
def test_it_and_its_gradient_are_finite_at_the_edges(name: str, train: bool) -> None:
    likelihood = LIKELIHOODS[name](PIXEL).train(train)
    ends = torch.tensor([0.0, 1e-30, 1e-4, 1.0, 30.0, 1000.0])
    numbers = torch.cat([ends, -ends])
    parameters = torch.cartesian_prod(numbers, numbers) if likelihood.out_shape[0] == 2 else numbers[:, None]
    if likelihood.out_shape[0] > 2:
        parameters = parameters.expand(-1, likelihood.out_shape[0])
    parameters = parameters.reshape(-1, *likelihood.out_shape).requires_grad_()
    for x in (0.0, 1 / 255, 0.5, 254 / 255, 1.0):
        if likelihood.support == "binary" and 0 < x < 1:
            continue
        p = likelihood(parameters)
        log_prob = p.log_prob(torch.full((len(parameters), *PIXEL), x))
        assert log_prob.isfinite().all()
        assert p.mean.isfinite().all()
        inputs = [parameters, *likelihood.parameters()]
        for gradient in torch.autograd.grad(log_prob.sum(), inputs, allow_unused=True):
            assert gradient is None or gradient.isfinite().all()


@every_likelihood
def test_float32_under_mixed_precision(name: str) -> None:
    likelihood = LIKELIHOODS[name]((1, 2, 3)).eval()
    parameters, x = spread(likelihood, 4).bfloat16(), random_images(4, (1, 2, 3)).round()
    exact = likelihood(parameters.float()).log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        p = likelihood(parameters)
        log_prob = p.log_prob(x)
        assert log_prob.dtype == p.mean.dtype == torch.float32
    torch.testing.assert_close(log_prob, exact, rtol=0.02 if name == "categorical" else 0, atol=1e-6)


@every_likelihood
def test_an_8_bit_likelihood_is_a_probability_and_says_so(name: str) -> None:
    likelihood = LIKELIHOODS[name](PIXEL).eval()
    assert likelihood.discrete_levels == (256 if name in ("discretized_logistic", "categorical") else None)
    assert likelihood.support == ("binary" if name == "bernoulli" else "real")
    if likelihood.discrete_levels:
        p = likelihood(spread(likelihood, 8, 5.0))
        levels = torch.arange(256).view(-1, 1, *PIXEL)
        assert (p.log_prob(levels / 255) <= 0).all()
        # values between two levels count as the nearer one
        for beside in (-0.3, 0.3):
            assert torch.equal(p.log_prob((levels + beside).clamp(0, 255) / 255), p.log_prob(levels / 255))
        assert torch.equal(p.log_prob(levels * (1 / 255)), p.log_prob(levels / 255))


ARCHITECTURES: dict[str, Architecture] = {
    "mlp": MLP([8], "gated"),
    "conv": Conv([3, 4], [8, 6], "gated"),
    "resnet": ResNet([3, 4], 1),
}


@every_likelihood
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 48)], ids=str)
def test_every_model_trains_under_every_likelihood(name: str, architecture: Architecture, shape: Shape) -> None:
    vae = VAE(architecture, Diagonal(2), StandardNormal(2), LIKELIHOODS[name](shape))
    x = random_images(3, shape)
    x = x.round() if vae.likelihood.support == "binary" else x
    if vae.likelihood.initial_parameters(x.mean(0)) is not None:
        vae.start_from_mean_image(x.mean(0))
    losses = Objective()(vae, x)
    losses["loss"].backward()
    assert losses["reconstruction"].isfinite()
    for parameter, value in vae.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter
    assert vae.reconstruct(x).shape == x.shape
    assert vae.sample(2).shape == (2, *shape)


@every_likelihood
def test_its_initial_parameters_give_the_mean_image(name: str) -> None:
    likelihood = LIKELIHOODS[name]((3, 4, 5))
    mean_image = torch.rand(3, 4, 5)
    mean_image[0, 0, 0], mean_image[1, 1, 1] = 0, 1
    output = likelihood.initial_parameters(mean_image)
    assert (output is None) == (name == "categorical")
    if output is not None:
        assert output.shape == likelihood.out_shape
        assert output.isfinite().all()
        margin = 0.08 if name == "discretized_logistic" else 0.011
        torch.testing.assert_close(likelihood(output).mean, mean_image, atol=margin, rtol=0)


@pytest.mark.parametrize("name", [n for n in LIKELIHOODS if n != "categorical"])
def test_bias_from_data_is_true_or_false(name: str) -> None:
    assert LIKELIHOODS[name](PIXEL, bias_from_data=True).bias_from_data is True  # type: ignore[call-arg]
    assert LIKELIHOODS[name](PIXEL).bias_from_data is False
    with pytest.raises(InvalidValue, match=r"^bias_from_data=1"):
        LIKELIHOODS[name](PIXEL, bias_from_data=1)  # type: ignore[call-arg]
