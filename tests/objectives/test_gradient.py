"""Gradient estimators: the same expectation as the plain one, with the lower variance that their papers report."""

from __future__ import annotations

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_images
from tests.objectives.gradients import LearnedNormal, gradient, many_gradients, standard_errors_apart, stream
from vae_lightning.objectives import Objective
from vae_lightning.objectives.bound import CIWAE, ELBO, IWAE, MIWAE, Bound
from vae_lightning.objectives.gradient import DoublyReparameterised, GradientEstimator, Reparameterised, StickingTheLanding

REPEATS = 80


@pytest.mark.parametrize(
    ("bound", "kind"),
    [
        (ELBO(), StickingTheLanding),
        (ELBO(2), DoublyReparameterised),
        (IWAE(4), DoublyReparameterised),
        (MIWAE(8, 2), DoublyReparameterised),
        (CIWAE(4, 0.5), DoublyReparameterised),
    ],
    ids=["elbo-stl", "elbo-dreg", "iwae-dreg", "miwae-dreg", "ciwae-dreg"],
)
def test_gradients_agree_with_the_plain_ones_in_expectation(bound: Bound, kind: type[GradientEstimator]) -> None:
    model, x = LinearGaussian(exact=False), random_images(4).repeat(400, 1, 1, 1)
    model.vae.latent_prior = LearnedNormal(2)
    plain = many_gradients(Objective(bound), model.vae, x, REPEATS)
    other = many_gradients(Objective(bound, kind()), model.vae, x, REPEATS)
    assert standard_errors_apart(plain, other).max() < 4.5


def test_stl_is_biased_under_iwae_as_tucker_et_al_say() -> None:
    model, x = LinearGaussian(exact=False), random_images(4).repeat(400, 1, 1, 1)
    plain = many_gradients(Objective(IWAE(4)), model.vae, x, REPEATS)
    other = many_gradients(Objective(IWAE(4), StickingTheLanding()), model.vae, x, REPEATS)
    assert standard_errors_apart(plain, other).max() > 10


@pytest.mark.parametrize("kind", [StickingTheLanding, DoublyReparameterised])
def test_no_variance_for_the_encoder_where_q_is_the_exact_posterior(kind: type[GradientEstimator]) -> None:
    model, x = LinearGaussian(exact=True), random_images(4)
    for bound in (ELBO(), IWAE(4)):
        plain = gradient(Objective(bound), model.vae, x)["encoder.1.weight"]
        other = gradient(Objective(bound, kind()), model.vae, x)["encoder.1.weight"]
        assert other.abs().max() < 1e-4 < 1e-2 < plain.abs().max()


@pytest.mark.parametrize("kind", [StickingTheLanding, DoublyReparameterised])
def test_decoder_and_prior_get_the_plain_gradient(kind: type[GradientEstimator]) -> None:
    model, x = LinearGaussian(exact=False), random_images(4)
    model.vae.latent_prior = LearnedNormal(2)
    plain = gradient(Objective(IWAE(4)), model.vae, x)
    other = gradient(Objective(IWAE(4), kind()), model.vae, x)
    for name in ("decoder.0.weight", "decoder.0.bias", "latent_prior.shift"):
        torch.testing.assert_close(other[name], plain[name])


def test_the_signal_of_dreg_does_not_drown_as_k_grows() -> None:
    """The signal-to-noise ratio of the plain gradient falls as 1/√k (Rainforth et al. 2018), that of dreg rises as √k (Tucker
    et al. 2019), where the weights have enough moments: q is made wider than p(z|x)."""
    model, x = LinearGaussian(exact=False), random_images(1).repeat(50, 1, 1, 1)
    with torch.no_grad():
        model.vae.encoder[1].bias[2:] += 0.8  # type: ignore[index]
    model.vae.decoder.requires_grad_(False)

    def signal_to_noise(kind: type[GradientEstimator], k: int) -> float:
        rows = many_gradients(Objective(IWAE(k), kind()), model.vae, x, 60)
        return (rows.mean(0).abs() / rows.std(0)).mean().item()

    plain = [signal_to_noise(Reparameterised, k) for k in (4, 64)]
    dreg = [signal_to_noise(DoublyReparameterised, k) for k in (4, 64)]
    assert plain[1] < 0.5 * plain[0]
    assert dreg[1] > 2 * dreg[0] > 2 * plain[0]


def test_the_value_does_not_depend_on_the_estimator() -> None:
    model, x = LinearGaussian(exact=False), random_images(4)
    for bound in (IWAE(4), CIWAE(4)):
        values = [
            Objective(bound, kind())(model.vae, x, noise=stream())["loss"]
            for kind in (Reparameterised, StickingTheLanding, DoublyReparameterised)
        ]
        torch.testing.assert_close(values[1:], values[:1] * 2)
