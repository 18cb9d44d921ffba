"""Bounds on log p(x): the ELBO and the importance-weighted bounds."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import InvalidValue, check_int, check_number
from vae_lightning.objectives.base import ObjectiveTerm
from vae_lightning.objectives.gradient import GradientEstimator
from vae_lightning.objectives.kl import KLTerm
from vae_lightning.objectives.terms import ELBOTerms, iwae_bound


class Bound(ObjectiveTerm):
    """A bound on log p(x), whose negative is minimised.

    Attributes:
        samples: draws of z per image.
        has_kl_term: whether the bound has a KL term, which β and `objective/kl` act on.
    """

    has_kl_term: ClassVar[bool] = False

    def __init__(self, samples: int = 1) -> None:
        super().__init__()
        self.samples = check_int("samples", samples)

    def forward(self, terms: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        """−bound, a scalar: the mean over the batch in nats per image. Bounds without a KL term ignore `kl` and `beta`.

        Args:
            terms: the densities and draws of the batch.
            kl: the KL term.
            beta: β, the weight of the KL.
            gradient: the gradient estimator.

        Returns:
            A scalar to minimise, in nats per image.
        """
        raise NotImplementedError

    def splits_gradient(self, gradient: GradientEstimator) -> bool:
        """Whether encoder and decoder weight the draws differently (see `ELBOTerms.weighted_log_w`)."""
        return False

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """Return what is logged besides the ELBO's terms: `bound`, the k-sample bound that is trained."""
        return {"bound": -loss}


class ELBO(Bound):
    """loss = E_q[−log p_θ(x|z)] + β·KL(q_φ(z|x) ‖ p(z)), with `samples` draws of z per image.

    The first term pulls the reconstruction towards the input, the second pulls the codes towards the prior. With one draw and
    `objective/kl=plain` this is `VAE.elbo`.
    """

    option = "objective/bound=elbo"
    has_kl_term = True

    def forward(self, terms: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        return terms.mean_reconstruction + kl(terms, beta)

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """Report nothing: the ELBO's terms are always logged."""
        return {}


class ImportanceWeighted(Bound):
    """A function of the importance weights w_i = p(x, z_i)/q(z_i|x), i = 1 … samples. It has no KL term for β to weight.

    Attributes:
        two_bounds: whether the encoder maximises a different bound from the decoder and the prior.
    """

    posterior_needs = frozenset({DENSITY})
    two_bounds: ClassVar[bool] = False

    def value(self, log_w: Tensor) -> Tensor:
        """Return the bound, (samples, batch) → (batch,); the decoder's if there are two."""
        raise NotImplementedError

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        """Return the weight of each draw in the encoder's gradient, (samples, batch).

        Args:
            log_w: log w, (samples, batch).
            power: 1 gives the derivative of the encoder's bound by each log w_i; 2 squares the normalised weights w̃_i, as in the
                doubly reparameterised gradient.
        """
        raise NotImplementedError

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        """Return the derivative of the decoder's bound by each log w_i, (samples, batch)."""
        return self.weights(log_w)

    def splits_gradient(self, gradient: GradientEstimator) -> bool:
        """Whether the encoder has its own bound, or the gradient estimator its own weights."""
        return self.two_bounds or gradient.power != 1

    def forward(self, terms: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        value = self.value(terms.log_w)
        if terms.split_gradient:
            log_w = terms.log_w.detach()
            surrogate = terms.weighted_log_w(self.decoder_weights(log_w), self.weights(log_w, gradient.power))
            value = value.detach() + (surrogate - surrogate.detach())  # the bound's value with the surrogate's gradient
        return -value.mean()


class IWAE(ImportanceWeighted):
    """log (1/k) Σ_i w_i with k = `samples` draws (Burda et al. 2016, section 3): grows with k and tends to log p(x).

    Its gradient weights the draws by w̃_i = w_i / Σ_j w_j.
    """

    option = "objective/bound=iwae"

    def __init__(self, samples: int = 5) -> None:
        super().__init__(samples)

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        return log_w.softmax(0) ** power

    def value(self, log_w: Tensor) -> Tensor:
        return iwae_bound(log_w)


class CIWAE(ImportanceWeighted):
    """b·ELBO + (1 − b)·IWAE_k with b = `elbo_weight` and k = `samples` (Rainforth et al. 2018, where b is called β).

    Both use the same draws. b = 0 is IWAE; b = 1 is the ELBO with its KL estimated from the draws.
    """

    option = "objective/bound=ciwae"

    def __init__(self, samples: int = 5, elbo_weight: float = 0.5) -> None:
        super().__init__(samples)
        self.elbo_weight = check_number("elbo_weight", elbo_weight, 0, 1)

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        return self.elbo_weight / self.samples + (1 - self.elbo_weight) * log_w.softmax(0) ** power

    def value(self, log_w: Tensor) -> Tensor:
        return self.elbo_weight * log_w.mean(0) + (1 - self.elbo_weight) * iwae_bound(log_w)


class MIWAE(ImportanceWeighted):
    """(1/M) Σ_m log (1/K) Σ_k w_mk with M = `groups` of K = samples/groups draws (Rainforth et al. 2018).

    M = 1 is IWAE, K = 1 the ELBO. With fewer draws in a group the bound is looser, but the encoder's gradient has more signal.
    """

    option = "objective/bound=miwae"

    def __init__(self, samples: int = 16, groups: int = 4) -> None:
        super().__init__(samples)
        self.groups = check_int("groups", groups)
        if samples % groups:
            raise InvalidValue("groups", groups, f"a divisor of samples, which is {samples}")

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        return (self.grouped(log_w).softmax(0) ** power / self.groups).reshape(log_w.shape)

    def value(self, log_w: Tensor) -> Tensor:
        return iwae_bound(self.grouped(log_w)).mean(0)

    def grouped(self, log_w: Tensor) -> Tensor:
        """Split the draws into groups, (samples, batch) → (K, M, batch)."""
        return log_w.unflatten(0, (-1, self.groups))


class PIWAE(MIWAE):
    """The encoder maximises MIWAE with M = `groups`; decoder and prior maximise IWAE with all draws (Rainforth et al. 2018).

    Its value is the decoder's bound. Both gradients come from one backward pass (`ELBOTerms.weighted_log_w`). In float16
    (trainer.precision=16-mixed), draws whose weight in the decoder's bound is below about 1e-4 contribute nothing to the encoder.
    """

    option = "objective/bound=piwae"
    two_bounds = True

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        return log_w.softmax(0)

    def value(self, log_w: Tensor) -> Tensor:
        return iwae_bound(log_w)
