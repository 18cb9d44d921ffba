from __future__ import annotations

import math

import pytest
import torch

from vae_lightning.errors import InvalidValue
from vae_lightning.models.likelihoods import DiscretizedLogistic
from vae_lightning.models.likelihoods.discretized_logistic import DiscretizedLogisticPixel

LEVELS = torch.arange(256) / 255


def test_it_is_the_difference_of_two_values_of_the_logistic_s_distribution() -> None:
    loc, log_scale = torch.tensor([-0.2, 0.0, 0.31, 0.5, 1.3]).double(), torch.tensor([-4.0, -3.0, -2.0, 0.0, 1.5]).double()
    for m, s in torch.cartesian_prod(loc, log_scale):
        edges = torch.cat([torch.tensor([-math.inf]), (torch.arange(255) + 0.5) / 255, torch.tensor([math.inf])]).double()
        probability = torch.sigmoid((edges - m) / s.exp()).diff()
        ours = DiscretizedLogisticPixel(m.float(), s.float(), 256).log_prob(LEVELS).double().exp()
        torch.testing.assert_close(ours, probability, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("log_scale", [-7.5, -5.0, -2.0, 1.0, 5.0])
@pytest.mark.parametrize("loc", [-50.0, -0.1, 0.0, 0.5, 1.0, 30.0])
def test_it_sums_to_one_however_narrow_or_far(loc: float, log_scale: float) -> None:
    p = DiscretizedLogisticPixel(torch.tensor(loc), torch.tensor(log_scale), 256)
    log_prob = p.log_prob(LEVELS)
    assert log_prob.isfinite().all()
    assert (log_prob <= 0).all()
    assert abs(log_prob.double().logsumexp(0)) < 3e-5


def test_the_ends_of_the_line_belong_to_the_first_and_the_last_level() -> None:
    p = DiscretizedLogisticPixel(torch.tensor([-3.0, 4.0]), torch.tensor([-3.0, -3.0]), 256)
    torch.testing.assert_close(p.log_prob(torch.tensor([0.0, 1.0])), torch.zeros(2))
    assert (p.log_prob(torch.tensor([1.0, 0.0])) < -20).all()


def test_draws_have_its_probabilities() -> None:
    loc, log_scale = torch.tensor([0.02, 0.5, 0.99]), torch.tensor([-3.0, -5.5, -1.0])
    p = DiscretizedLogisticPixel(loc, log_scale, 256)
    draws = (p.sample((50_000,)) * 255).round().long()
    for i in range(3):
        counted = draws[:, i].bincount(minlength=256) / 50_000
        probability = p.log_prob(LEVELS[:, None])[:, i].exp()
        assert ((counted - probability).abs() < 5 * (probability / 50_000).sqrt() + 1e-4).all()


def test_the_first_half_of_the_output_is_the_mean() -> None:
    likelihood = DiscretizedLogistic((2, 1, 1), min_scale=0.001)
    assert likelihood.out_shape == (4, 1, 1)
    p = likelihood(torch.tensor([0.25, 0.75, -20.0, -20.0]).view(4, 1, 1))
    torch.testing.assert_close(p.mean.flatten(), torch.tensor([0.25, 0.75]), atol=0.002, rtol=0)


def test_the_scale_stays_above_its_floor() -> None:
    likelihood = DiscretizedLogistic((1, 1, 1), min_scale=0.01)
    pixel = likelihood(torch.tensor([0.5, -1000.0]).view(2, 1, 1)).base_dist
    assert pixel.log_scale.item() == pytest.approx(math.log(0.01))


@pytest.mark.parametrize("min_scale", [0, -1, 1.0, math.nan, None])
def test_values_out_of_range_are_refused(min_scale: float) -> None:
    with pytest.raises(InvalidValue, match=r"^min_scale="):
        DiscretizedLogistic((1, 1, 1), min_scale)
