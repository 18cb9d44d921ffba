from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Independent

from vae_lightning.models.likelihoods import ContinuousBernoulli
from vae_lightning.models.likelihoods.continuous_bernoulli import ContinuousBernoulliPixel

SHAPE = (1, 2, 3)
# near 0, about where the series hand over (η/2 = ½), and far out
LOGITS = [0.0, 1e-6, 1e-3, 0.1, 0.9, 0.99, 0.999, 1.001, 1.01, 1.1, 3.0, 10.0, 30.0, 100.0, 1000.0]
LOGITS = LOGITS + [-logit for logit in LOGITS]


def exact(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) = η x − log ((e^η − 1)/η) by a Taylor sum of (e^η − 1)/η = Σ η^n/(n + 1)!, float64; for η > 30 its limit."""
    eta = logits.double()
    magnitude = eta.abs()
    terms = [torch.ones_like(eta)]
    for n in range(1, 150):
        terms.append(terms[-1] * magnitude.clamp_max(30) / (n + 1))
    log_normaliser = torch.where(magnitude > 30, magnitude - magnitude.clamp_min(1).log(), torch.stack(terms).sum(0).log())
    mirrored = torch.where(eta < 0, 1 - x.double(), x.double())
    return magnitude * mirrored - log_normaliser


@pytest.mark.parametrize("x", [0.0, 0.3, 0.5, 1.0])
def test_log_prob_and_its_gradient_are_exact_in_float32(x: float) -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    log_prob = ContinuousBernoulliPixel(logits).log_prob(torch.tensor(x))
    log_prob.sum().backward()
    torch.testing.assert_close(log_prob.detach().double(), exact(logits.detach(), torch.tensor(x)), atol=1e-6, rtol=2e-6)
    mean = ContinuousBernoulliPixel(logits.detach().double()).mean
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), x - mean, atol=2e-6, rtol=1e-5)


def test_it_is_torch_s_where_torch_is_right() -> None:
    logits, x = 3 * torch.randn(5, 4, *SHAPE).double(), torch.rand(4, *SHAPE).double()
    ours = Independent(ContinuousBernoulliPixel(logits), 3)
    theirs = Independent(TorchContinuousBernoulli(logits=logits), 3)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.mean, theirs.mean, atol=1e-5, rtol=1e-5)


def test_torch_is_still_wrong_far_out() -> None:
    """The reason for our own implementation: if this fails, torch's could be used."""
    logits = torch.tensor([-100.0, 100.0])
    error = TorchContinuousBernoulli(logits=logits).log_prob(torch.tensor(0.5)) - exact(logits, torch.tensor(0.5))
    assert (error < -1).all()


def test_the_mean_grows_with_the_logit_and_is_the_derivative_of_the_normaliser() -> None:
    logits = torch.linspace(-300, 300, 20_001).double().requires_grad_()
    p = ContinuousBernoulliPixel(logits)
    normaliser = -p.log_prob(torch.zeros(()))
    (slope,) = torch.autograd.grad(normaliser.sum(), logits)
    torch.testing.assert_close(p.mean.detach(), slope, atol=1e-11, rtol=1e-9)
    assert (p.mean.diff() > 0).all()
    assert not torch.allclose(p.mean, logits.sigmoid(), atol=0.1), "the mean is not λ"


def test_initial_parameters_are_held_off_the_ends() -> None:
    likelihood = ContinuousBernoulli(SHAPE)
    mean_image = torch.tensor([0.0, 0.01, 0.2, 0.5, 0.8, 1.0]).view(SHAPE)
    expected = mean_image.clamp(0.01, 0.99)
    torch.testing.assert_close(likelihood(likelihood.initial_parameters(mean_image)).mean, expected, atol=1e-5, rtol=0)
