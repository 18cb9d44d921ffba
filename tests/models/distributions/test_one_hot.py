from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_lightning.models.distributions.one_hot import OneHots, RelaxedOneHots
from vae_lightning.noise import StreamNoise


def log_probs(batch: int = 2, variables: int = 2, classes: int = 3) -> Tensor:
    return torch.randn(batch, variables, classes, dtype=torch.float64).log_softmax(-1)


def codes(variables: int = 2, classes: int = 3) -> Tensor:
    """All codes, (classes ** variables, 1, variables·classes)."""
    places = torch.tensor(list(product(range(classes), repeat=variables)))
    return torch.nn.functional.one_hot(places, classes).double().flatten(1).unsqueeze(1)


def noise() -> StreamNoise:
    return StreamNoise(torch.Generator(), 0)


def test_masses_are_products_and_sum_to_one() -> None:
    pi = log_probs()
    mass = OneHots(pi).log_prob(codes()).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(mass[3 * 1 + 2, 0], pi[0, 0, 1].exp() * pi[0, 1, 2].exp())


def test_draws_are_one_hot_with_those_masses() -> None:
    q, n = OneHots(log_probs()), 20_000
    z = q.rsample((n,), noise())
    assert torch.equal(z.unflatten(-1, (2, 3)).sum(-1), torch.ones(n, 2, 2, dtype=torch.float64))
    assert set(z.unique().tolist()) == {0.0, 1.0}
    frequency = (z.unsqueeze(0) == codes().unsqueeze(1)).all(-1).double().mean(1)
    torch.testing.assert_close(frequency, q.log_prob(codes()).exp(), atol=0.015, rtol=0)
    torch.testing.assert_close(z.mean(0), q.mean, atol=0.015, rtol=0)


def test_kl_is_the_sum_over_all_codes() -> None:
    q, p = OneHots(log_probs()), OneHots(log_probs())
    mass = q.log_prob(codes())
    brute = (mass.exp() * (mass - p.log_prob(codes()))).sum(0)
    torch.testing.assert_close(kl_divergence(q, p), brute)
    torch.testing.assert_close(kl_divergence(RelaxedOneHots(q.log_probs, torch.tensor(0.5), False), p), brute)


def test_relaxed_draws_tend_to_the_categorical_as_the_temperature_falls() -> None:
    pi = log_probs()
    exact = OneHots(pi).rsample((2000,), noise())
    distances = []
    for temperature in (1.0, 0.3, 0.1, 0.01):
        z = RelaxedOneHots(pi, torch.tensor(temperature), False).rsample((2000,), noise())
        torch.testing.assert_close(z.unflatten(-1, (2, 3)).sum(-1), torch.ones(2000, 2, 2, dtype=torch.float64))
        distances.append((z - exact).abs().mean().item())
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.1
    assert distances[-1] < 0.005


def test_the_gradient_tends_to_that_of_the_categorical() -> None:
    """The gradient of E[f(z)] for f(z) = Σ_k (w_k·z_k)² is known by summing over the classes."""
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([[[0.2, -0.4, 0.1]]], dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad((logits.softmax(-1) * w.square()).sum(), logits)

    def bias(temperature: float) -> float:
        q = RelaxedOneHots(logits.log_softmax(-1), torch.tensor(temperature), False)
        value = (q.rsample((200_000,), noise()) * w).square().sum(-1).mean()
        return (torch.autograd.grad(value, logits)[0] - exact).norm().item()

    assert bias(1.0) > 0.3
    assert bias(0.1) < 0.1


def test_straight_through_is_one_hot_forward_and_relaxed_backward() -> None:
    pi = log_probs().requires_grad_()
    weights, tau = torch.randn(2, 6, dtype=torch.float64), torch.tensor(0.7)
    hard, soft = (RelaxedOneHots(pi, tau, h).rsample((5,), noise()) for h in (True, False))
    assert torch.equal(hard, OneHots(pi).rsample((5,), noise()))
    gradients = [torch.autograd.grad((z * weights).sum(), pi)[0] for z in (hard, soft)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("relaxed", [True, False])
def test_detached_keeps_the_masses_and_drops_the_gradient(relaxed: bool) -> None:
    pi = log_probs().requires_grad_()
    q = RelaxedOneHots(pi, torch.tensor(0.5), False) if relaxed else OneHots(pi)
    assert q.log_prob(codes()).requires_grad
    assert not q.detached().log_prob(codes()).requires_grad
    assert torch.equal(q.detached().log_prob(codes()), q.log_prob(codes()))
