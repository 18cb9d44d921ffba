"""Estimators of the gradient with respect to the encoder: reparameterised, sticking-the-landing, doubly reparameterised."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY_ANYWHERE
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.objectives.base import ObjectiveTerm
from vae_lightning.objectives.terms import LogQ


class GradientEstimator(ObjectiveTerm):
    """How the gradient with respect to the encoder's parameters φ is estimated; the decoder's is always the bound's own.

    Attributes:
        log_q: how log q(z|x) is evaluated at the draws, (q, z) → (samples, batch); None for the ordinary log q.
        power: the power of the normalised importance weights in the gradient that reaches z; 1 is the bound's own derivative.
    """

    log_q: LogQ | None = None
    power: ClassVar[int] = 1


class Reparameterised(GradientEstimator):
    """The full reparameterised gradient, ∇_φ E_q[f(z, φ)] = E_ε[∇_φ f(z(ε, φ), φ)]; the KL by its formula if there is one."""

    option = "objective/gradient=reparameterised"


class StickingTheLanding(GradientEstimator):
    """The reparameterised gradient without the score term of log q (Roeder et al. 2017).

    log q_φ(z|x) is evaluated with φ held constant, at z(ε, φ). The term dropped, the score, has expectation 0, so the estimator
    is unbiased for the ELBO, and it has no variance where q(z|x) = p(z|x). The KL is estimated from the draws. For
    importance-weighted bounds of several samples it is biased (Tucker et al. 2019), though it has been used that way:
    `objective/gradient=dreg` is the unbiased one.
    """

    option = "objective/gradient=stl"
    posterior_needs = frozenset({DENSITY_ANYWHERE})

    def log_q(self, q: LatentDistribution, z: Tensor) -> Tensor:
        """Return the log density log q(z|x) with the parameters of q held constant, in nats, (samples, batch)."""
        return q.detached().log_prob(z)


class DoublyReparameterised(StickingTheLanding):
    """Σ_i w̃_i² (∂log w_i/∂z_i)(∂z_i/∂φ) for the encoder, w̃_i = w_i / Σ_j w_j (Tucker et al. 2019).

    Weighted by w̃_i, the score ∂log q_φ(z_i|x)/∂φ no longer has expectation 0 as it has under the ELBO. Reparameterising it once
    more turns w̃_i into w̃_i². The estimator is unbiased, and its signal-to-noise ratio does not fall as the number of samples
    grows. Decoder and prior keep Σ_i w̃_i ∂log p(x, z_i)/∂θ. Under the ELBO, whose weights are constant, it is `stl`.
    """

    option = "objective/gradient=dreg"
    power = 2
