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
    """(β − 1)·TC with TC = KL(q(z) ‖ Π_d q(z_d)) of the aggregate posterior q(z) = (1/N) Σ_n q(z|x_n).

    The KL of the ELBO is I(x; z) + TC + Σ_d KL(q(z_d) ‖ p(z_d)) (Chen et al. 2018, eq. 2), so β weights the TC in total and β = 1
    is the ELBO. log q(z) is estimated from the batch (`minibatch_log_weights`). Logs `total_correlation` and
    `mutual_information` I(x; z), in nats.

    Args:
        train_size: N; None for the number of training images.
        estimator: "stratified" or "weighted".
    """

    option = "objective/penalty=tc"
    posterior_needs = frozenset({DENSITY_ANYWHERE, KL_PER_DIMENSION, REAL_SPACE})
    weighted_by_beta = True

    def __init__(self, train_size: int | None = None, estimator: str = "stratified") -> None:
        super().__init__()
        self.train_size = None if train_size is None else check_int("train_size", train_size)
        self.estimator = check_choice("estimator", estimator, ESTIMATORS)

    def set_train_size(self, train_size: int) -> None:
        """Use the number of training images as N unless one was given."""
        self.train_size = self.train_size or train_size

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        if self.train_size is None:
            raise RuntimeError("Call TotalCorrelationPenalty.set_train_size(train_size) before the first step.")
        # log q(z_i,d | x_j), (samples, batch i, batch j, latent_dim)
        log_q = log_prob_per_dimension(terms.q, terms.z.unsqueeze(2))
        log_weights = minibatch_log_weights(log_q.shape[2], self.train_size, self.estimator, log_q)
        log_qz = (log_q.sum(3) + log_weights).logsumexp(2)  # log q(z_i)
        log_qz_d = (log_q + log_weights.unsqueeze(2)).logsumexp(2)  # log q(z_i,d)
        log_qz_x = log_q.sum(3).diagonal(dim1=1, dim2=2)  # log q(z_i | x_i)
        tc, mi = (log_qz - log_qz_d.sum(2)).mean(), (log_qz_x - log_qz).mean()
        return (beta - 1) * tc, {"total_correlation": tc, "mutual_information": mi}


def minibatch_log_weights(batch: int, train_size: int, estimator: str, like: Tensor) -> Tensor:
    """Log weights W for log q(z_i) ≈ log Σ_j W_ij q(z_i|x_j), from a batch of B of the N training images, z_i ~ q(z|x_i).

    weighted: W = 1/(N·B) (Chen et al. 2018, section 3). Each log q(z) is up to log N too low, so the TC of D dimensions is up to
    (D − 1)·log N too high: a constant where the posteriors overlap, which does not affect the gradient.

    stratified: W_ii = 1/N, since image i is certainly in the batch, and W_ij = (N − 1)/(N·(B − 1)), since the other B − 1 images
    stand for the other N − 1. Σ_j W_ij q(z_i|x_j) is then an unbiased estimate of q(z_i), exact if the batch is the whole set.
    The paper (appendix C) gives one of the others the weight of all images outside the batch; this is the mean over all choices.

    Args:
        batch: B.
        train_size: N.
        estimator: "stratified" or "weighted".
        like: a tensor with the dtype and device of the result.

    Returns:
        log W, (batch, batch).
    """
    if estimator == "weighted" or batch == 1:
        return torch.full((batch, batch), -math.log(train_size * batch), dtype=like.dtype, device=like.device)
    n = max(train_size, batch)
    other = math.log((n - 1) / (n * (batch - 1)))
    weights = torch.full((batch, batch), other, dtype=like.dtype, device=like.device)
    return weights.fill_diagonal_(-math.log(n))
