from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian

from tests.linear_gaussian import LinearGaussian, random_images
from tests.objectives.gradients import LearnedNormal, gradient, stream
from vae_lightning.errors import InvalidValue
from vae_lightning.objectives import Objective
from vae_lightning.objectives.bound import CIWAE, ELBO, IWAE, MIWAE, PIWAE, ImportanceWeighted
from vae_lightning.objectives.gradient import DoublyReparameterised, GradientEstimator, Reparameterised, StickingTheLanding
from vae_lightning.objectives.terms import log_weights

BOUNDS = [IWAE(6), MIWAE(6, 3), MIWAE(6, 1), CIWAE(6, 0.3), PIWAE(6, 2)]


def value(bound: ImportanceWeighted | ELBO, x: Tensor, model: LinearGaussian, seed: int = 0) -> float:
    with torch.no_grad():
        return Objective(bound)(model.vae, x, noise=stream(seed))["bound"].item()


def test_iwae_grows_with_k_and_tends_to_the_exact_marginal() -> None:
    model, x = LinearGaussian(exact=False), random_images(1).expand(4000, -1, -1, -1)
    exact = model.log_p(x[:1]).item()
    values = [value(IWAE(k), x, model) for k in (1, 2, 8, 64)]
    assert values == sorted(values)
    assert exact - values[0] > 0.1
    assert values[-1] == pytest.approx(exact, abs=0.03)


def test_every_bound_is_the_exact_marginal_where_q_is_the_exact_posterior() -> None:
    model, x = LinearGaussian(exact=True), random_images(5)
    for bound in BOUNDS:
        assert value(bound, x, model) == pytest.approx(model.log_p(x).mean().item(), abs=1e-4)


def test_miwae_with_one_group_is_iwae_and_with_one_draw_in_each_the_elbo() -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    log_w = log_weights(model.vae, x, 8, stream())
    assert value(MIWAE(8, 1), x, model) == pytest.approx(value(IWAE(8), x, model), abs=1e-5)
    assert value(MIWAE(8, 8), x, model) == pytest.approx(log_w.mean().item(), abs=1e-5)
    between = value(MIWAE(8, 2), x, model)
    assert value(MIWAE(8, 8), x, model) < between < value(MIWAE(8, 1), x, model)


def test_miwae_is_the_mean_over_disjoint_groups() -> None:
    log_w = torch.randn(6, 4, dtype=torch.float64)
    bound = MIWAE(6, 2)
    parts = [torch.stack([log_w[i] for i in range(6) if i % 2 == m]).exp().mean(0).log() for m in range(2)]
    torch.testing.assert_close(bound.value(log_w), (parts[0] + parts[1]) / 2)


def test_ciwae_between_its_ends() -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    log_w = log_weights(model.vae, x, 8, stream())
    elbo, iwae = log_w.mean().item(), value(IWAE(8), x, model)
    assert value(CIWAE(8, 0.0), x, model) == pytest.approx(iwae, abs=1e-5)
    assert value(CIWAE(8, 1.0), x, model) == pytest.approx(elbo, abs=1e-5)
    assert value(CIWAE(8, 0.25), x, model) == pytest.approx(0.25 * elbo + 0.75 * iwae, abs=1e-5)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: type(b).__name__)
def test_weights_are_the_derivatives_of_the_value_and_those_of_dreg_one_derivative_further(bound: ImportanceWeighted) -> None:
    """With c_i = ∂L/∂log w_i, reparameterising the score once more gives c_i − ∂c_i/∂log w_i."""
    log_w = torch.randn(6, dtype=torch.float64) * 2
    encoder = MIWAE.value if isinstance(bound, PIWAE) else None

    def scalar(values: Tensor) -> Tensor:
        given = values.unsqueeze(1)
        if encoder:
            return torch.logsumexp(given.unflatten(0, (-1, 2)), 0).mean(0)[0]
        return bound.value(given)[0]

    first = torch.autograd.functional.jacobian(scalar, log_w)
    second = hessian(scalar, log_w)
    torch.testing.assert_close(bound.weights(log_w.unsqueeze(1))[:, 0], first)
    torch.testing.assert_close(bound.weights(log_w.unsqueeze(1), 2)[:, 0], first - second.diagonal())
    decoder = torch.autograd.functional.jacobian(lambda v: bound.value(v.unsqueeze(1))[0], log_w)
    torch.testing.assert_close(bound.decoder_weights(log_w.unsqueeze(1))[:, 0], decoder)


@pytest.mark.parametrize("bound", BOUNDS[:4], ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("kind", [Reparameterised, StickingTheLanding])
def test_weighing_apart_with_the_bounds_own_weights_is_the_plain_gradient(bound: ImportanceWeighted, kind: type) -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    objective = Objective(bound, kind())
    plain = gradient(objective, model.vae, x)
    objective.split_gradient = True
    torch.testing.assert_close(gradient(objective, model.vae, x), plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [Reparameterised, StickingTheLanding, DoublyReparameterised])
@pytest.mark.parametrize("sigma", [0.4, 0.02])
def test_piwae_gives_the_encoder_miwaes_gradient_and_the_decoder_iwaes(kind: type[GradientEstimator], sigma: float) -> None:
    """With σ = 0.02, most weights in the decoder's bound are too small for float32."""
    model, x = LinearGaussian(exact=False, sigma=sigma), random_images(5)
    model.vae.latent_prior = LearnedNormal(2)
    both = gradient(Objective(PIWAE(8, 4), kind()), model.vae, x)
    inference = gradient(Objective(MIWAE(8, 4), kind()), model.vae, x)
    generative = gradient(Objective(IWAE(8), kind()), model.vae, x)
    assert {"encoder.1.weight", "decoder.0.weight", "latent_prior.shift"} <= set(both)
    for name, value in both.items():
        expected = inference if name.startswith("encoder") else generative
        other = generative if name.startswith("encoder") else inference
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(value, expected[name], atol=1e-4 * scale, rtol=1e-4)
        assert (value - other[name]).abs().max() > 1e-3 * scale


def test_a_frozen_encoder_is_no_obstacle() -> None:
    model, x = LinearGaussian(exact=False), random_images(5)
    model.vae.encoder.requires_grad_(False)
    assert set(gradient(Objective(PIWAE(8, 4)), model.vae, x)) == {"decoder.0.weight", "decoder.0.bias"}


def test_beta_has_nothing_to_weigh() -> None:
    model = LinearGaussian()
    assert not any(Objective(bound).uses_beta(model.vae) for bound in BOUNDS)
    assert Objective().uses_beta(model.vae)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (IWAE, {"samples": 0}),
        (MIWAE, {"groups": 3}),
        (MIWAE, {"groups": 0}),
        (PIWAE, {"samples": 5, "groups": 2}),
        (CIWAE, {"elbo_weight": 1.1}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[ImportanceWeighted], bad: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=f"^{list(bad)[-1]}="):
        kind(**bad)  # type: ignore[arg-type]
