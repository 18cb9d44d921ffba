"""What every gradient estimator says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY_ANYWHERE
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.objectives.part import ObjectiveTerm
from vae_lightning.objectives.terms import LogQ


class GradientEstimator(ObjectiveTerm):
    """How the gradient with respect to the encoder's parameters φ is estimated; the decoder's is the bound's own.

    `log_q`: how log q(z|x) is evaluated at the draws, (q, z) → (samples, batch); None: as it stands. `power`: of the normalised
    importance weights with which the gradient reaches z; 1 is the bound's own derivative.
    """

    log_q: LogQ | None = None
    power: ClassVar[int] = 1


class Reparameterised(GradientEstimator):
    """∇_φ E_q[f(z, φ)] = E_ε[∇_φ f(z(ε, φ), φ)], all of it; the KL by its formula where there is one."""

    option = "objective/gradient=reparameterised"


class StickingTheLanding(GradientEstimator):
    """∇_φ log q_φ(z|x) without its direct part, the score, whose expectation is 0: log q with φ held constant, at z(ε, φ).

    Unbiased for the ELBO, and without any variance where q(z|x) = p(z|x) (Roeder et al. 2017). The KL is estimated from the
    draws. With importance-weighted bounds of several samples it is biased (Tucker et al. 2019), though it has been used so:
    `objective/gradient=dreg` is the unbiased one.
    """

    option = "objective/gradient=stl"
    needs_of_posterior = frozenset({DENSITY_ANYWHERE})

    def log_q(self, q: LatentDistribution, z: Tensor) -> Tensor:
        return q.detached().log_prob(z)


class DoublyReparameterised(StickingTheLanding):
    """Σ_i w̃_i² (∂log w_i/∂z_i)(∂z_i/∂φ) for the encoder, w̃_i = w_i / Σ_j w_j (Tucker et al. 2019).

    The score ∂log q_φ(z_i|x)/∂φ, weighed by w̃_i, has no expectation of 0 as under the ELBO; reparameterised once more, it is
    what turns w̃_i into w̃_i². Unbiased, and its signal-to-noise ratio does not fall with the number of samples. The
    decoder and the prior keep Σ_i w̃_i ∂log p(x, z_i)/∂θ. Under the ELBO, whose weights are constant, it is `stl`.
    """

    option = "objective/gradient=dreg"
    power = 2
