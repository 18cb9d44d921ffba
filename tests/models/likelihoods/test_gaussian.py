from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_lightning.errors import InvalidValue
from vae_lightning.models.likelihoods import Gaussian

SHAPE = (1, 2, 3)


def test_it_integrates_to_one() -> None:
    line = torch.linspace(-2, 3, 501, dtype=torch.float64)
    images = torch.cartesian_prod(line, line).view(-1, 1, 1, 2).float()
    p = Gaussian((1, 1, 2), sigma=0.2)(torch.tensor([0.3, 0.8]).view(1, 1, 2))
    density = p.log_prob(images).double().exp().view(501, 501)
    integral = torch.trapezoid(torch.trapezoid(density, line), line)
    assert abs(integral - 1) < 1e-5


def test_log_prob_is_that_of_torch_and_of_the_formula() -> None:
    mean, x = torch.randn(5, 4, *SHAPE), torch.rand(4, *SHAPE)
    log_prob = Gaussian(SHAPE, sigma=0.3)(mean).log_prob(x)
    torch.testing.assert_close(log_prob, Independent(Normal(mean, 0.3), 3).log_prob(x))
    formula = -((x - mean) ** 2) / (2 * 0.09) - math.log(0.3) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(log_prob, formula.sum((-3, -2, -1)))


def test_mean_and_shapes() -> None:
    likelihood, parameters = Gaussian(SHAPE), torch.randn(5, 4, *SHAPE)
    p = likelihood(parameters)
    assert likelihood.support == "real"
    assert likelihood.out_shape == likelihood.shape == SHAPE
    assert (p.batch_shape, p.event_shape) == ((5, 4), SHAPE)
    assert torch.equal(p.mean, parameters)
    assert torch.equal(p.stddev, torch.full_like(parameters, 0.1))


def test_sigma_is_no_parameter_and_not_in_the_checkpoint() -> None:
    likelihood = Gaussian(SHAPE)
    assert not list(likelihood.parameters())
    assert not likelihood.state_dict()


def test_float32_under_mixed_precision() -> None:
    parameters, x = torch.randn(4, *SHAPE).bfloat16(), torch.rand(4, *SHAPE)
    expected = Gaussian(SHAPE)(parameters.float()).log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        log_prob = Gaussian(SHAPE)(parameters).log_prob(x)
    assert log_prob.dtype == Gaussian(SHAPE)(parameters).mean.dtype == torch.float32
    assert torch.equal(log_prob, expected)


@pytest.mark.parametrize("sigma", [0, -0.1, math.inf, math.nan, "0.1"])
def test_values_out_of_range_are_refused(sigma: float) -> None:
    with pytest.raises(InvalidValue, match=r"^sigma="):
        Gaussian(SHAPE, sigma)
