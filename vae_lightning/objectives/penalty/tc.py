"""`objective/penalty=tc`: the total correlation of the codes, weighted by β (Chen et al. 2018, β-TC-VAE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_lightning.capabilities import DENSITY_ANYWHERE, KL_PER_DIMENSION, REAL_SPACE
from vae_lightning.errors import check_choice, check_int
from vae_lightning.models.distributions.base import log_prob_per_dimension
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms

ESTIMATORS = ("stratified", "weighted")


class TotalCorrelationPenalty(Penalty):
    """(β − 1)·TC, TC = KL(q(z) ‖ Π_d q(z_d)) of the aggregate q(z) = (1/N) Σ_n q(z|x_n), N = `train_size` (None: the data's).

    The KL of the ELBO is I(x; z) + TC + Σ_d KL(q(z_d) ‖ p(z_d)) (Chen et al. 2018, eq. 2), so that β weighs the TC in all and
    β = 1 is the ELBO. log q(z) is estimated from the batch, by `minibatch_log_weights`. Reports `total_correlation` and
    `mutual_information` I(x; z), in nats.
    """

    option = "objective/penalty=tc"
    needs_of_posterior = frozenset({DENSITY_ANYWHERE, KL_PER_DIMENSION, REAL_SPACE})
    takes_beta = True

    def __init__(self, train_size: int | None = None, estimator: str = "stratified") -> None:
        super().__init__()
        self.train_size = None if train_size is None else check_int("train_size", train_size)
        self.estimator = check_choice("estimator", estimator, ESTIMATORS)

    def set_train_size(self, train_size: int) -> None:
        self.train_size = self.train_size or train_size

    def forward(self, draws: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        if self.train_size is None:
            raise RuntimeError("TotalCorrelation.set_train_size(train_size) comes before the first step.")
        # log q(z_i,d | x_j), (samples, batch i, batch j, latent_dim)
        log_q = log_prob_per_dimension(draws.q, draws.z.unsqueeze(2))
        log_weights = minibatch_log_weights(log_q.shape[2], self.train_size, self.estimator, log_q)
        log_qz = (log_q.sum(3) + log_weights).logsumexp(2)  # log q(z_i)
        log_qz_d = (log_q + log_weights.unsqueeze(2)).logsumexp(2)  # log q(z_i,d)
        log_qz_x = log_q.sum(3).diagonal(dim1=1, dim2=2)  # log q(z_i | x_i)
        tc, mi = (log_qz - log_qz_d.sum(2)).mean(), (log_qz_x - log_qz).mean()
        return (beta - 1) * tc, {"total_correlation": tc, "mutual_information": mi}


def minibatch_log_weights(batch: int, train_size: int, estimator: str, like: Tensor) -> Tensor:
    """log W, (batch, batch), for log q(z_i) ≈ log Σ_j W_ij q(z_i|x_j) from a batch of B of the N training images, z_i ~ q(z|x_i).

    weighted: W = 1/(N·B) (Chen et al. 2018, section 3), each log q(z) up to log N too low, so that the TC of D
    dimensions is up to (D − 1)·log N too high: a constant, where the posteriors overlap, which the gradient does not see.
    stratified: W_ii = 1/N, since image i is certainly there, and the other B − 1 images stand for the other N − 1: W_ij =
    (N − 1)/(N·(B − 1)). Σ_j W_ij q(z_i|x_j) is then an unbiased estimate of q(z_i), exact where the batch is the whole set. The
    paper (appendix C) gives one of the others the weight of all that are not in the batch; this is the mean over which one.
    """
    if estimator == "weighted" or batch == 1:
        return torch.full((batch, batch), -math.log(train_size * batch), dtype=like.dtype, device=like.device)
    n = max(train_size, batch)
    other = math.log((n - 1) / (n * (batch - 1)))
    weights = torch.full((batch, batch), other, dtype=like.dtype, device=like.device)
    return weights.fill_diagonal_(-math.log(n))
