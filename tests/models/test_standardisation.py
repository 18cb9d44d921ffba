"""Real-valued data in their own units: everything that a VAE gives is that of the standardised data, moved and scaled."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from tests.linear_gaussian import SHAPE, LinearGaussian, random_images
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian, GaussianOptimal
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal, VampPrior
from vae_lightning.models.standardisation import Standardisation, Unstandardised
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.terms import elbo_terms


def _noise() -> StreamNoise:
    return StreamNoise(torch.Generator(), 0)


def _scaled(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same data in other units: m + s·x with a shift and a scale for each number."""
    offset, scale = 100 * torch.randn(SHAPE), torch.rand(SHAPE) * 30 + 0.1
    return offset + scale * x, offset, scale


def test_the_elbo_of_scaled_data_is_that_of_the_unscaled_ones_less_the_log_of_the_scales() -> None:
    model = LinearGaussian()
    x = random_images(6)
    plain = elbo_terms(model.vae, x, _noise())
    scaled, offset, scale = _scaled(x)
    model.vae.standardisation = Standardisation(SHAPE)
    model.vae.standardisation.offset.copy_(offset)
    model.vae.standardisation.scale.copy_(scale)
    found = elbo_terms(model.vae, scaled, _noise())
    log_scales = float(scale.log().sum())
    torch.testing.assert_close(-found.reconstruction, -plain.reconstruction - log_scales, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(found.kl, plain.kl, atol=1e-3, rtol=1e-4)
    # q is the exact posterior, so that the estimate is the exact log p(x) of the scaled data, too
    exact = model.log_p(x) - log_scales
    torch.testing.assert_close(found.log_w[0].double(), exact, atol=5e-3, rtol=1e-4)
    objective = Objective()(model.vae, scaled, noise=_noise())
    assert objective["loss"].item() == pytest.approx(-float(exact.mean()), abs=1.0)


def test_means_and_draws_are_in_the_units_of_the_data() -> None:
    model = LinearGaussian()
    x = random_images(6)
    reconstructed, sampled = model.vae.reconstruct(x), model.vae.sample(5, _noise())
    scaled, offset, scale = _scaled(x)
    model.vae.standardisation = Standardisation(SHAPE)
    model.vae.standardisation.offset.copy_(offset)
    model.vae.standardisation.scale.copy_(scale)
    torch.testing.assert_close(model.vae.reconstruct(scaled), offset + scale * reconstructed, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(model.vae.sample(5, _noise()), offset + scale * sampled, atol=1e-3, rtol=1e-5)


def test_the_distribution_is_that_of_moved_and_scaled_draws() -> None:
    offset, scale = torch.tensor([[[3.0, -2.0]]]), torch.tensor([[[0.5, 4.0]]])
    base = Independent(Normal(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[0.3, 0.7]]]])), 3)
    p = Unstandardised(base, offset, scale)
    direct = Independent(Normal(offset + scale * base.mean, scale * base.stddev), 3)
    x = direct.sample((4,))
    torch.testing.assert_close(p.log_prob(x), direct.log_prob(x))
    torch.testing.assert_close(p.mean, direct.mean)
    torch.testing.assert_close(p.variance, direct.variance)
    torch.manual_seed(1)
    draws = p.sample((2,))
    torch.manual_seed(1)
    torch.testing.assert_close(draws, direct.sample((2,)))


def test_mean_and_deviation_of_the_training_rows_are_found_in_parts() -> None:
    rows = torch.randn(1000, 1, 1, 4, dtype=torch.float64) * torch.tensor([1.0, 1e-3, 50.0, 0.0]) + torch.tensor(
        [0.0, 1.0, -3e3, 7.0]
    )
    rows = rows.float()
    standardisation = Standardisation((1, 1, 4))
    assert standardisation.fit(rows.split(300)) == 1
    torch.testing.assert_close(standardisation.offset, rows.double().mean(0).float())
    torch.testing.assert_close(
        standardisation.scale[..., :3], rows.double().std(0, correction=0)[..., :3].float(), rtol=1e-4, atol=0
    )
    assert standardisation.scale[..., 3] == 1
    seen = standardisation(rows)
    assert seen[..., 3].abs().max() == 0
    assert seen[..., :3].mean((0, 1, 2)).abs().max() < 1e-3


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, DiscretizedLogistic])
def test_likelihoods_of_pixels_are_refused(likelihood: type) -> None:
    with pytest.raises(UserError, match=r"likelihood=\w+ is incompatible with real-valued data, since it is for pixels"):
        VAE(MLP([4]), Diagonal(2), StandardNormal(2), likelihood((1, 1, 5)), standardisation=Standardisation((1, 1, 5)))


def test_a_prior_of_images_is_refused() -> None:
    shape = (1, 1, 5)
    with pytest.raises(UserError, match=r"^prior=vamp is incompatible with real-valued data: its pseudo-inputs are images"):
        VAE(MLP([4]), Diagonal(2), VampPrior(2, shape, 0.5, 4), Gaussian(shape), standardisation=Standardisation(shape))


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_images_cost_nothing_more() -> None:
    vae = VAE(MLP([4]), Diagonal(2), StandardNormal(2), Bernoulli(SHAPE))
    vae.checks_input = False
    x = random_images(3)
    with _Operations() as found:
        vae.decode(vae.encode(x).mean).log_prob(x)
    with _Operations() as expected:
        z = vae.posterior(vae.encoder(x)).mean
        parameters = vae.decoder(z.reshape(-1, 2))
        vae.likelihood(parameters.view(3, *SHAPE)).log_prob(x)
    assert found.names == expected.names


class _NoWaiting(TorchDispatchMode):
    """Stands in for a GPU: raises where a value would be read from it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(function), "a value is read from the device"
        assert "nonzero" not in str(function), "a value is read from the device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("real", [False, True])
def test_a_training_step_waits_for_no_value(real: bool) -> None:
    vae = VAE(MLP([4]), Diagonal(2), StandardNormal(2), GaussianOptimal(SHAPE), None, Standardisation(SHAPE) if real else None)
    objective, x = Objective(), random_images(3)
    with pytest.raises(AssertionError, match="a value is read from the device"), _NoWaiting():
        objective(vae, x)  # by hand, x is checked
    vae.checks_input = False  # as the training module sets it
    with _NoWaiting():
        objective(vae, x)["loss"].backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in vae.parameters() if weight.grad is not None)
