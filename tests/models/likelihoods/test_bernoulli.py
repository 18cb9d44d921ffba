from __future__ import annotations

from itertools import product

import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Independent

from vae_lightning.models.likelihoods import Bernoulli

SHAPE = (1, 2, 3)


def test_it_sums_to_one_over_all_binary_images() -> None:
    images = torch.tensor(list(product([0.0, 1.0], repeat=6))).view(-1, *SHAPE)
    p = Bernoulli(SHAPE)(3 * torch.randn(SHAPE))
    assert len(images) == 64
    torch.testing.assert_close(p.log_prob(images).logsumexp(0), torch.zeros(()), atol=1e-5, rtol=0)


def test_log_prob_is_that_of_torch_summed_over_pixels() -> None:
    logits, x = 3 * torch.randn(5, 4, *SHAPE), torch.rand(4, *SHAPE).round()
    p = Bernoulli(SHAPE)(logits)
    expected = Independent(TorchBernoulli(logits=logits), 3).log_prob(x)
    assert expected.shape == (5, 4)
    torch.testing.assert_close(p.log_prob(x), expected)


def test_it_broadcasts_as_torch_does() -> None:
    logits, x = torch.randn(4, *SHAPE), torch.rand(7, 4, *SHAPE).round()
    expected = Independent(TorchBernoulli(logits=logits), 3).log_prob(x)
    torch.testing.assert_close(Bernoulli(SHAPE)(logits).log_prob(x), expected)


def test_grey_pixels_give_the_cross_entropy() -> None:
    logits, x = torch.randn(4, *SHAPE), torch.rand(4, *SHAPE)
    cross_entropy = -(x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli(SHAPE)(logits).log_prob(x), -cross_entropy)


def test_it_is_finite_at_extreme_logits() -> None:
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0, 0.0, 0.0], requires_grad=True)
    x = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).view(SHAPE)
    log_prob = Bernoulli(SHAPE)(logits.view(SHAPE)).log_prob(x)
    log_prob.backward()
    torch.testing.assert_close(log_prob.item(), -400 - 2 * 0.6931472, atol=1e-3, rtol=0)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, x.flatten() - logits.detach().sigmoid())


def test_mean_and_shapes() -> None:
    likelihood, logits = Bernoulli(SHAPE), torch.randn(5, 4, *SHAPE)
    p = likelihood(logits)
    assert likelihood.support == "binary"
    assert likelihood.out_shape == likelihood.shape == SHAPE
    assert (p.batch_shape, p.event_shape) == ((5, 4), SHAPE)
    torch.testing.assert_close(p.mean, logits.sigmoid())


def test_float32_under_mixed_precision() -> None:
    logits = torch.randn(4, *SHAPE).bfloat16()
    for x in (torch.ones(4, *SHAPE), torch.ones(4, *SHAPE, dtype=torch.bfloat16)):
        with torch.autocast("cpu", torch.bfloat16):
            log_prob = Bernoulli(SHAPE)(logits).log_prob(x)
        assert log_prob.dtype == Bernoulli(SHAPE)(logits).log_prob(x).dtype == torch.float32
        assert Bernoulli(SHAPE)(logits).mean.dtype == torch.float32
        assert torch.equal(log_prob, Bernoulli(SHAPE)(logits.float()).log_prob(x.float()))
