"""Scores of made-up codes: 1 if the codes are the factors, and chance if they are mixed or unrelated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vae_lightning.data.sprites import FACTORS, factors_of
from vae_lightning.evaluation.disentanglement import (
    all_scores,
    dci,
    evaluate_disentanglement,
    mig,
    modularity,
    mutual_informations,
    sap,
)
from vae_lightning.evaluation.interventions import beta_vae_score, factor_vae_score

VALUES, SIZE = 8, 2000
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
NAMES = [
    "mig", "modularity", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factor_vae_score",
    "beta_vae_score",
]  # fmt: skip
QUANTITIES = (False,) * 4


@pytest.fixture(scope="module")
def factors() -> np.ndarray:
    return np.random.default_rng(0).integers(0, VALUES, (SIZE, 4))


def standard(factors: np.ndarray) -> np.ndarray:
    return (factors - 3.5) / 2.3


@pytest.fixture(scope="module")
def perfect(factors: np.ndarray) -> dict[str, float]:
    """The factors in another order, one of them negated, and two dimensions without information."""
    silent = 0.01 * np.random.default_rng(1).normal(size=(SIZE, 2))
    return all_scores(np.hstack([standard(factors)[:, [2, 0, 3, 1]] * [1, -2, 1, 1], silent]), factors, QUANTITIES)


@pytest.fixture(scope="module")
def mixed(factors: np.ndarray) -> dict[str, float]:
    """Codes rotated so that each dimension holds equally much of each factor: all the information, but entangled."""
    return all_scores(standard(factors) @ HADAMARD, factors, QUANTITIES)


@pytest.fixture(scope="module")
def unrelated(factors: np.ndarray) -> dict[str, float]:
    return all_scores(np.random.default_rng(2).normal(size=(SIZE, 4)), factors, QUANTITIES)


@pytest.mark.parametrize("name", NAMES)
def test_perfect_codes_score_one(perfect: dict[str, float], name: str) -> None:
    assert perfect[name] == pytest.approx(1, abs=0.02)


def test_the_scale_of_a_dimension_does_not_matter(factors: np.ndarray) -> None:
    """With noise, a fixed factor's dimension varies too, and more than others if its scale is larger."""
    codes = standard(factors) + 0.3 * np.random.default_rng(1).normal(size=factors.shape)
    scaled = codes * [0.5, 1, 10, 50]
    assert factor_vae_score(scaled, factors) == pytest.approx(factor_vae_score(codes, factors))
    assert factor_vae_score(scaled, factors) > 0.98


@pytest.mark.parametrize("name", NAMES)
def test_mixed_codes_score_near_nothing(mixed: dict[str, float], name: str) -> None:
    if name == "dci_informativeness":
        assert mixed[name] > 0.3
    elif name == "modularity":  # the noise of its estimates of information is squared: see the test of many images
        assert mixed[name] < 0.35
    elif name in ("factor_vae_score", "beta_vae_score"):
        assert mixed[name] < 0.25 + 0.1
    else:
        assert mixed[name] < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_unrelated_codes_score_chance(unrelated: dict[str, float], name: str) -> None:
    chance = 0.25 if name in ("factor_vae_score", "beta_vae_score") else 0
    assert unrelated[name] == pytest.approx(chance, abs=0.05)


def test_modularity_of_mixed_codes_is_nothing_with_many_images() -> None:
    many = np.random.default_rng(0).integers(0, VALUES, (100_000, 4))
    information, _ = mutual_informations(standard(many) @ HADAMARD, many)
    assert modularity(information, np.zeros(4)) < 0.06


def test_codes_that_are_all_alike_score_nothing(factors: np.ndarray) -> None:
    scores = all_scores(np.zeros((SIZE, 3)), factors, QUANTITIES)
    assert {name: value for name, value in scores.items() if value > 0.02} == {}


def test_a_factor_that_is_not_encoded_makes_mixed_codes_no_more_disentangled(factors: np.ndarray) -> None:
    """If two such factors were left out of each dimension's shares, the score would be 1 − log 4/log 6 = 0.23."""
    others = np.random.default_rng(3).integers(0, VALUES, (SIZE, 2))
    scores = dci(standard(factors) @ HADAMARD, np.hstack([factors, others]))
    assert max(scores["dci_disentanglement"], scores["dci_completeness"]) < 0.15
    alone = dci(standard(factors), np.hstack([factors, others]))
    assert 0.5 < alone["dci_disentanglement"] < 0.9, "the factors that are missing lower what each dimension says of one"


def test_one_dimension_for_two_factors_is_complete_but_not_disentangled(factors: np.ndarray) -> None:
    two = factors[:, :2] // 2  # 4 values each
    together = (two[:, :1] * 4 + two[:, 1:]) + 0.0
    scores = dci(np.hstack([together, np.zeros((SIZE, 1))]), two)
    assert scores["dci_completeness"] == pytest.approx(1, abs=0.02)
    assert scores["dci_disentanglement"] < 0.1
    information, _ = mutual_informations(together, two)
    np.testing.assert_allclose(information, np.log(4), atol=0.02)
    assert modularity(information, np.zeros(2)) == pytest.approx(0, abs=0.05)


def test_one_factor_in_two_dimensions_is_disentangled_but_not_complete(factors: np.ndarray) -> None:
    z = standard(factors)[:, [0, 0, 1, 1]] * [1, -1, 1, 3]
    scores = dci(z, factors[:, :2])
    assert scores["dci_disentanglement"] == pytest.approx(1, abs=0.02)
    assert scores["dci_completeness"] == pytest.approx(0.5, abs=0.1)
    information, entropies = mutual_informations(z, factors[:, :2])
    assert mig(information, entropies) == pytest.approx(0, abs=0.01)
    assert modularity(information, np.zeros(2)) == pytest.approx(1, abs=0.01)
    assert sap(z, factors[:, :2], QUANTITIES) == pytest.approx(0, abs=0.01)
    assert factor_vae_score(z, factors[:, :2]) == beta_vae_score(z, factors[:, :2]) == 1


def test_mutual_information_is_that_of_a_noisy_channel() -> None:
    """A code that is the factor with probability ½, and otherwise one of the 8 values at random."""
    rng = np.random.default_rng(0)
    factor = rng.integers(0, VALUES, (20_000, 1))
    code = np.where(rng.random((20_000, 1)) < 0.5, factor, rng.integers(0, VALUES, (20_000, 1)))
    right, wrong = 0.5 + 0.5 / 8, 0.5 / 8
    expected = np.log(8) + right * np.log(right) + 7 * wrong * np.log(wrong)
    information, entropies = mutual_informations(code.astype(float), factor)
    assert information[0, 0] == pytest.approx(expected, abs=0.02)
    assert entropies[0] == pytest.approx(np.log(8), abs=0.01)


def test_the_gap_is_a_quarter_for_squared_correlations_of_a_known_angle(factors: np.ndarray) -> None:
    """z₁ = v₁ cos 30° + v₂ sin 30° and z₂ at right angles: R² of ¾ and ¼."""
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    z = standard(factors[:, :2]) @ np.array([[c, -s], [s, c]])
    assert sap(z, factors[:, :2], QUANTITIES) == pytest.approx(0.5, abs=0.07)


def test_categories_are_predicted_by_a_gaussian_discriminant(factors: np.ndarray) -> None:
    """Categories in no order, for which the R² of a quantity would be small."""
    shape = factors[:, 0] % 3
    place = np.array([0.0, 5.0, 1.0])[shape] + 0.05 * np.random.default_rng(0).normal(size=SIZE)
    z, v = np.stack([place, standard(factors[:, 1])], 1), np.stack([shape, factors[:, 1]], 1)
    assert sap(z, v, (True, False)) == pytest.approx(1, abs=0.02)
    assert sap(z, v, (False, False)) < 0.7


def test_the_factors_of_sprites_as_codes_are_perfect() -> None:
    v = factors_of(np.random.default_rng(0).permutation(737_280)[:2000])
    scores = all_scores(v.astype(float), v, [name == "shape" for name in FACTORS])
    assert {name: value for name, value in scores.items() if value < 0.95} == {}


def test_factors_that_do_not_vary_are_left_out(factors: np.ndarray) -> None:
    v = torch.from_numpy(factors[:300]).clone()
    v[:, 3] = 5
    z = torch.from_numpy(standard(factors[:300]))
    found = evaluate_disentanglement(z, v, QUANTITIES)
    assert found.values["mig"] == pytest.approx(1, abs=0.02)
    assert set(found.values) == {*NAMES, *(f"{name}_standard_error" for name in NAMES)}
    assert all(found.values[f"{name}_standard_error"] < 0.1 for name in NAMES)
    v[:, 1:] = 0
    found = evaluate_disentanglement(z, v, QUANTITIES)
    assert (found.values, found.notes[0]) == (
        {},
        "Disentanglement was not measured: fewer than two factors vary in these images.",
    )
    z[0, 0] = torch.nan
    assert evaluate_disentanglement(z, torch.from_numpy(factors[:300]), QUANTITIES).values == {}


def test_scores_are_seeded(factors: np.ndarray, mixed: dict[str, float]) -> None:
    assert all_scores(standard(factors) @ HADAMARD, factors, QUANTITIES) == mixed
