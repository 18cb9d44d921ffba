"""Total correlation and mutual information of an aggregate posterior that is (nearly) Gaussian, with known values."""

from __future__ import annotations

from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from tests.linear_gaussian import LinearGaussian, random_images
from vae_lightning.errors import InvalidValue
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.noise import ExampleNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.penalty import TotalCorrelationPenalty
from vae_lightning.objectives.penalty.tc import minibatch_log_weights

N, SCALE, RHO = 2000, 0.3, 0.8


def codes(size: int = N) -> tuple[Tensor, Tensor]:
    """Means of q(z|x_n) = N(mean_n, σ² I), n ≤ `size`, float64, whose covariance is exactly [[1, ρ], [ρ, 1]]; and a z of each."""
    white = torch.randn(size, 2, dtype=torch.float64)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / size)).T
    mean = white @ torch.linalg.cholesky(torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)).T
    return mean, mean + SCALE * torch.randn_like(mean)


def draws(mean: Tensor, z: Tensor) -> Any:
    return SimpleNamespace(q=DiagonalNormal(mean, torch.full_like(mean, SCALE)), z=z.unsqueeze(0))


def estimates(mean: Tensor, z: Tensor, batch: int, estimator: str) -> tuple[float, float]:
    """Means over the batches that make up the whole set."""
    penalty = TotalCorrelationPenalty(len(mean), estimator)
    found = [penalty(draws(m, d), 1.0, None)[1] for m, d in zip(mean.split(batch), z.split(batch), strict=True)]
    names = ("total_correlation", "mutual_information")
    tc, mi = (torch.stack([reported[name] for reported in found]).mean().item() for name in names)
    return tc, mi


def exact() -> tuple[float, float]:
    """−½ log(1 − r²) and ½ log det(Cov/σ²) of the Gaussian with the aggregate's covariance."""
    variance = 1 + SCALE**2
    r = torch.tensor(RHO / variance)
    tc = -0.5 * torch.log(1 - r**2)
    return tc.item(), (torch.log(torch.tensor(variance / SCALE**2)) - tc).item()


def test_the_whole_set_as_batch_gives_the_aggregate_itself() -> None:
    """Compared with torch's mixtures of the N posteriors and, less exactly, with the Gaussian's known values."""
    mean, z = codes(500)
    mixture = Categorical(torch.ones(500, dtype=torch.float64))
    log_qz_d = [MixtureSameFamily(mixture, Normal(mean[:, d], SCALE)).log_prob(z[:, d]) for d in range(2)]
    log_q = Normal(mean, SCALE).log_prob(z.unsqueeze(1)).sum(2)  # log q of z_i under each x_j
    log_qz = (log_q.exp().sum(1) / 500).log()
    tc, mi = estimates(mean, z, 500, "stratified")
    assert tc == pytest.approx((log_qz - log_qz_d[0] - log_qz_d[1]).mean().item(), abs=1e-9)
    assert mi == pytest.approx((log_q.diagonal() - log_qz).mean().item(), abs=1e-9)
    mean, z = codes()
    assert estimates(mean, z, N, "stratified") == pytest.approx(exact(), abs=0.06)


def test_the_stratified_estimates_bias_shrinks_with_the_batch() -> None:
    mean, z = codes()
    whole = torch.tensor(estimates(mean, z, N, "stratified"))
    off = [(torch.tensor(estimates(mean, z, batch, "stratified")) - whole).abs() for batch in (10, 20, 50, 100, 500)]
    assert (off[0] > 0.1).all()
    assert (off[-1] < 0.02).all()
    assert all((later < sooner).all() for sooner, later in pairwise(off))


def test_the_weighted_estimate_is_off_by_a_constant_which_stratified_is_not() -> None:
    """1/(N·B) in place of 1/B: each log q(z) is log N too low, so the TC of D dimensions (D − 1)·log N too high."""
    mean, z = codes()
    log_n = torch.tensor(float(N)).log().item()
    tc, mi = exact()
    for batch, within in ((100, 0.15), (500, 0.05)):
        found = estimates(mean, z, batch, "weighted")
        assert found == pytest.approx((tc + log_n, mi + log_n), abs=within)


def test_stratified_weights_make_an_unbiased_density() -> None:
    """Over all batches of 3 out of 6 images that hold image i, Σ_j W_ij q(z|x_j) has the mean (1/N) Σ_n q(z|x_n)."""
    q = torch.rand(6, dtype=torch.float64)
    weights = minibatch_log_weights(3, 6, "stratified", q).exp()
    batches = [q[[0, *others]] for others in combinations(range(1, 6), 2)]
    assert torch.stack([weights[0] @ batch for batch in batches]).mean().item() == pytest.approx(q.mean().item())
    torch.testing.assert_close(weights.sum(1), torch.ones(3, dtype=torch.float64))
    assert minibatch_log_weights(1, 6, "stratified", q).isfinite().all()


def test_beta_weighs_the_total_correlation_and_one_is_the_elbo() -> None:
    model, x = LinearGaussian(exact=False), random_images(6)
    objective = Objective(penalty=TotalCorrelationPenalty(100))

    def losses(which: Objective, beta: float) -> dict[str, Tensor]:
        return which(model.vae, x, beta, ExampleNoise(torch.arange(6), 0))

    plain, one, six = losses(Objective(), 1.0), losses(objective, 1.0), losses(objective, 6.0)
    torch.testing.assert_close(one["loss"], plain["loss"])
    torch.testing.assert_close(six["loss"], plain["loss"] + 5 * six["total_correlation"])
    assert objective.uses_beta(model.vae)


def test_the_number_of_training_images_is_told_unless_it_was_given() -> None:
    mean, z = codes(6)
    objective, given = Objective(penalty=TotalCorrelationPenalty()), TotalCorrelationPenalty(50)
    with pytest.raises(RuntimeError, match="set_train_size"):
        objective.penalty(draws(mean, z), 1.0, None)
    objective.set_train_size(100)
    given.set_train_size(100)
    assert isinstance(objective.penalty, TotalCorrelationPenalty)
    assert (objective.penalty.train_size, given.train_size) == (100, 50)


@pytest.mark.parametrize("bad", [{"train_size": 0}, {"train_size": 10, "estimator": "mws"}])
def test_values_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"^{list(bad)[-1]}="):
        TotalCorrelationPenalty(**bad)
