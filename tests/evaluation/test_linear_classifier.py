from __future__ import annotations

import numpy as np
import pytest

from vae_lightning.evaluation import probes as linear
from vae_lightning.evaluation.interventions import beta_vae_score
from vae_lightning.evaluation.probes import linear_classifier


def planted(size: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes with correlated columns, like a mean |z − z'|, and labels that depend on them only weakly."""
    rng = np.random.default_rng(0)
    x = 0.01 * rng.normal(size=(size, columns)) + 0.3 * rng.normal(size=(size, 1)) + 0.7
    return x, (x[:, :3] + 0.02 * rng.normal(size=(size, 3))).argmax(1)


def test_it_is_the_minimum_of_the_penalised_loss() -> None:
    """Σ_n −log p(y_n|x_n) + ‖W‖²/2c has no gradient there, with bias and without."""
    x, y = planted(400, 3)
    fitted = linear_classifier(x, y, 10)
    off = fitted.predict_proba(x) - np.eye(3)[y]
    assert off.T @ x + fitted.coef_ / 10 == pytest.approx(np.zeros((3, 3)), abs=1e-3)
    assert off.sum(0) == pytest.approx(np.zeros(3), abs=1e-3)


def test_wide_codes_are_learned_by_a_method_whose_memory_they_do_not_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = planted(300, 20)
    narrow = linear_classifier(x, y)
    monkeypatch.setattr(linear, "WIDEST", 10)
    wide = linear_classifier(x, y)
    assert (narrow.solver, wide.solver) == ("newton-cholesky", "lbfgs")
    assert wide.predict_proba(x) == pytest.approx(narrow.predict_proba(x), abs=1e-4)


def test_the_beta_vae_score_does_not_depend_on_rounding() -> None:
    rng = np.random.default_rng(0)
    v = rng.integers(0, 6, (2000, 4))
    z = rng.normal(size=(2000, 10)) + v @ (0.2 * rng.normal(size=(4, 10)))
    score = beta_vae_score(z, v)
    assert 0.3 < score < 0.95
    for seed in (1, 2):  # changes as small as those that another batch size makes in float32 codes
        nudged = z * (1 + 1e-7 * np.random.default_rng(seed).normal(size=z.shape))
        assert beta_vae_score(nudged, v) == score
