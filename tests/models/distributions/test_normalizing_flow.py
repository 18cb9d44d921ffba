from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.normalizing_flow import FlowDistribution, PlanarBijection
from vae_lightning.models.posteriors import InverseAutoregressive, PlanarFlow
from vae_lightning.models.priors import NormalizingFlow
from vae_lightning.noise import StreamNoise

KINDS = ["autoregressive", "coupling", "spline"]


def noise() -> StreamNoise:
    return StreamNoise(torch.Generator(), 0)


def iaf(latent_dim: int = 3, batch: int = 2) -> FlowDistribution:
    """The flow in float64, with larger weights than its networks start with."""
    posterior = InverseAutoregressive(latent_dim, steps=3, context=4, hidden=[16]).double()
    for parameter in posterior.parameters():
        parameter.data.mul_(2)
    q = posterior(0.5 * torch.randn(batch, posterior.features))
    return FlowDistribution(DiagonalNormal(q.base.mean.double(), q.base.stddev.double()), q.bijection, q.context.double())


def planar(latent_dim: int = 3, batch: int = 2) -> FlowDistribution:
    posterior = PlanarFlow(latent_dim, steps=4)
    q = posterior(torch.randn(batch, posterior.features))
    return FlowDistribution(DiagonalNormal(q.base.mean.double(), q.base.stddev.double()), q.bijection, q.context.double())


def prior(kind: str, latent_dim: int = 3) -> FlowDistribution:
    made = NormalizingFlow(latent_dim, kind, transforms=2, hidden=[16]).double()
    for parameter in made.parameters():
        parameter.data.mul_(1.5)
    return made()


def check_log_det(flow: FlowDistribution, u: Tensor, context: Tensor | None) -> None:
    """log|det| of the Jacobian by autograd, of one vector u (latent_dim,)."""
    _, log_det = flow.bijection(u, context)
    matrix = jacobian(lambda value: flow.bijection(value, context)[0], u)
    assert isinstance(matrix, Tensor)
    torch.testing.assert_close(log_det, matrix.det().abs().log())
    assert abs(log_det.item()) > 1e-3


@pytest.mark.parametrize("flow", [iaf, *[lambda k=k: prior(k) for k in KINDS]], ids=["iaf", *KINDS])
def test_flows_invert_and_their_log_det_is_that_of_the_jacobian(flow) -> None:
    q = flow()
    u = q.base.rsample((4,), noise())
    z, log_det = q._map(u)
    back, log_det_back = q._map(z, inverse=True)
    torch.testing.assert_close(back, u)
    torch.testing.assert_close(log_det_back, -log_det)
    one = u[0] if q.context is None else u[0, 1]
    check_log_det(q, one, None if q.context is None else q.context[1])


def test_log_det_of_planar_flows_is_that_of_the_jacobian() -> None:
    q = planar()
    check_log_det(q, torch.randn(3, dtype=torch.float64), q.context[1])  # type: ignore[index]
    with pytest.raises(NotImplementedError):
        q.log_prob(torch.randn(2, 3, dtype=torch.float64))


def test_planar_steps_keep_order_whatever_the_encoder_says() -> None:
    """wᵀû > −1, so that wᵀz grows with wᵀz, even where wᵀu is far below −1."""
    w = torch.tensor([1.0, 2.0])
    context = torch.cat([-3 * w, w, torch.zeros(1)])
    z = torch.linspace(-2, 2, 50).unsqueeze(-1) * w
    along = PlanarBijection(2, 1)(z, context)[0] @ w
    assert (along.diff() > 0).all()


@pytest.mark.parametrize("flow", [lambda: iaf(2, 1), *[lambda k=k: prior(k, 2) for k in KINDS]], ids=["iaf", *KINDS])
def test_densities_integrate_to_one(flow) -> None:
    q = flow()
    with torch.no_grad():
        draws = q.rsample((4000,), noise()).view(-1, 2)
        low, high = draws.min(0).values - 4, draws.max(0).values + 4
        axes = [torch.linspace(a, b, 400, dtype=torch.float64) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        z = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 1, 2)
        cell = ((high - low) / 399).prod()
        density = q.log_prob(z if q.batch_shape else z.squeeze(1)).exp().flatten()
        assert abs((density.sum() * cell).item() - 1) < 0.01
        mean = (density.unsqueeze(-1) * z.squeeze(1)).sum(0) * cell
        assert ((draws.mean(0) - mean).abs() < 5 * draws.std(0) / 4000**0.5 + 0.01).all()


@pytest.mark.parametrize("flow", [iaf, planar])
def test_the_density_of_its_own_draw_is_the_change_of_variables(flow) -> None:
    q = flow()
    z = q.rsample((4,), noise())
    u = q.base.rsample((4,), noise())
    expected = q.base.log_prob(u) - q.bijection(u, q.context)[1]
    torch.testing.assert_close(q.log_prob(z), expected)


def test_the_remembered_density_is_the_one_found_by_inverting() -> None:
    q = iaf()
    z = q.rsample((4,), noise())
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))
    other = q.rsample((4,), StreamNoise(torch.Generator(), 1))
    assert not torch.allclose(q.log_prob(other), q.log_prob(z))


def test_detached_has_gradients_for_z_alone() -> None:
    q = iaf()
    z = q.rsample((1,), noise()).detach().requires_grad_()
    q.detached().log_prob(z).sum().backward()
    assert z.grad is not None
    assert all(parameter.grad is None for parameter in q.bijection.parameters())
    (expected,) = torch.autograd.grad(q.log_prob(z).sum(), z)
    torch.testing.assert_close(z.grad, expected)


def test_float32_under_mixed_precision() -> None:
    posterior = InverseAutoregressive(3)
    features = torch.randn(2, posterior.features)
    plain = posterior(features).rsample((2,), noise())
    with torch.autocast("cpu", torch.bfloat16):
        q = posterior(features)
        z = q.rsample((2,), noise())
        assert q.log_prob(z).dtype == torch.float32
    assert torch.equal(z, plain)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_few_dimensions(latent_dim: int) -> None:
    assert InverseAutoregressive(latent_dim)(torch.randn(2, 2 * latent_dim + 16)).rsample((3,)).shape == (3, 2, latent_dim)
    assert NormalizingFlow(latent_dim)().rsample((3,)).shape == (3, latent_dim)
