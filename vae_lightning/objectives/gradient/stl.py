"""`objective/gradient=stl`: sticking the landing, the gradient by way of z alone (Roeder et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.abilities import DENSITY_ANYWHERE
from vae_lightning.distributions import LatentDistribution
from vae_lightning.objectives.gradient.base import Gradient


class StickingTheLanding(Gradient):
    """∇_φ log q_φ(z|x) without its direct part, the score, whose expectation is 0: log q with φ held constant, at z(ε, φ).

    Unbiased for the ELBO, and without any variance where q(z|x) = p(z|x) (Roeder et al. 2017). The KL is estimated from the
    draws. With importance-weighted bounds of several samples it is biased (Tucker et al. 2019), though it has been used so:
    `objective/gradient=dreg` is the unbiased one.
    """

    option = "objective/gradient=stl"
    needs_of_posterior = frozenset({DENSITY_ANYWHERE})

    def log_q(self, q: LatentDistribution, z: Tensor) -> Tensor:
        return q.detached().log_prob(z)
