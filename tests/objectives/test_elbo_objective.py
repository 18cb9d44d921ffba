from __future__ import annotations

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_images
from vae_lightning.errors import InvalidValue
from vae_lightning.noise import ExampleNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.bound import ELBO
from vae_lightning.objectives.terms import elbo_terms


def noise(images: int = 6) -> ExampleNoise:
    return ExampleNoise(torch.arange(images), 0)


def test_losses_are_means_over_the_batch_and_beta_weighs_the_kl() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    terms = elbo_terms(model.vae, x, noise())
    for beta in (0.0, 1.0, 4.0, torch.tensor(2.5)):
        losses = Objective()(model.vae, x, beta, noise())
        torch.testing.assert_close(losses["reconstruction"], terms.reconstruction.mean())
        torch.testing.assert_close(losses["kl"], terms.kl.mean())
        torch.testing.assert_close(losses["loss"], terms.reconstruction.mean() + beta * terms.kl.mean())
        assert losses["loss"].shape == ()


def test_beta_is_one_unless_said_otherwise() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    losses = Objective()(model.vae, x, noise=noise())
    torch.testing.assert_close(losses["loss"], -elbo_terms(model.vae, x, noise()).elbo.mean())


def test_repeating_the_batch_changes_nothing() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    twice = Objective()(model.vae, torch.cat([x, x]), 1.0, ExampleNoise(torch.arange(6).repeat(2), 0))
    torch.testing.assert_close(twice, Objective()(model.vae, x, 1.0, noise()))


def test_samples_are_drawn_and_averaged() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    expected = elbo_terms(model.vae, x, noise(), samples=8).reconstruction.mean()
    torch.testing.assert_close(Objective(ELBO(samples=8))(model.vae, x, 1.0, noise())["reconstruction"], expected)


def test_a_step_against_the_gradient_lowers_the_loss() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    optimizer = torch.optim.SGD(model.vae.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        loss = Objective(ELBO(samples=4))(model.vae, x, 1.0, noise())["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_float32_under_mixed_precision() -> None:
    model, x = LinearGaussian(), random_images(6)
    with torch.autocast("cpu", torch.bfloat16):
        losses = Objective()(model.vae, x, 0.5, noise())
    assert {part.dtype for part in losses.values()} == {torch.float32}


@pytest.mark.parametrize("samples", [0, -1, 1.0])
def test_values_out_of_range_are_refused(samples: int) -> None:
    with pytest.raises(InvalidValue, match=r"^samples="):
        ELBO(samples)
