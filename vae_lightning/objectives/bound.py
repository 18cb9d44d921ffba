"""What every bound says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import InvalidValue, check_int, check_number
from vae_lightning.objectives.gradient import GradientEstimator
from vae_lightning.objectives.kl import KLTerm
from vae_lightning.objectives.part import ObjectiveTerm
from vae_lightning.objectives.terms import ELBOTerms, iwae_bound


class Bound(ObjectiveTerm):
    """−bound, a scalar to be minimised. `samples`: draws of z per image; `has_kl_term`: whether β and `kl` act on it."""

    has_kl_term: ClassVar[bool] = False

    def __init__(self, samples: int = 1) -> None:
        super().__init__()
        self.samples = check_int("samples", samples)

    def forward(self, draws: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        """Mean over the batch, nats per image. Without a KL term of its own, `kl` and `beta` are passed over."""
        raise NotImplementedError

    def weighs_apart(self, gradient: GradientEstimator) -> bool:
        """Whether encoder and decoder get weights of their own (`ELBOTerms.reweighted`)."""
        return False

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """`bound`: the k-sample bound that is trained."""
        return {"bound": -loss}


class ELBO(Bound):
    """loss = E_q[−log p_θ(x|z)] + β·KL(q_φ(z|x) ‖ p(z)).

    The first term pulls the output to the input, the second the codes to the prior. samples: draws of z per image.
    """

    option = "objective/bound=elbo"
    has_kl_term = True

    def forward(self, draws: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        return draws.mean_reconstruction + kl(draws, beta)

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """Nothing: the ELBO's terms are always reported."""
        return {}


class ImportanceWeighted(Bound):
    """A function of w_i = p(x, z_i)/q(z_i|x), i = 1 … samples, alone. It has no KL term, so there is nothing for β to weigh.

    `two_bounds`: whether the encoder maximises another bound than the decoder and the prior.
    """

    needs_of_posterior = frozenset({DENSITY})
    two_bounds: ClassVar[bool] = False

    def value(self, log_w: Tensor) -> Tensor:
        """The bound, (samples, batch) → (batch,); the decoder's where there are two."""
        raise NotImplementedError

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        """(samples, batch): with `power` 1 the derivative of the encoder's bound by each log w_i; 2: its normalised weights w̃_i
        squared, as the doubly reparameterised gradient has them."""
        raise NotImplementedError

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        """The derivative of the decoder's bound by each log w_i."""
        return self.weights(log_w)

    def weighs_apart(self, gradient: GradientEstimator) -> bool:
        return self.two_bounds or gradient.power != 1

    def forward(self, draws: ELBOTerms, kl: KLTerm, beta: float | Tensor, gradient: GradientEstimator) -> Tensor:
        value = self.value(draws.log_w)
        if draws.apart:
            log_w = draws.log_w.detach()
            weighed = draws.reweighted(self.decoder_weights(log_w), self.weights(log_w, gradient.power))
            value = value.detach() + (weighed - weighed.detach())  # the bound's value with the gradient of `reweighted`
        return -value.mean()


class IWAE(ImportanceWeighted):
    """log (1/k) Σ_i w_i with k = `samples` draws (Burda et al. 2016, section 3): grows with k and tends to log p(x).

    Its gradient weighs the draws by w̃_i = w_i / Σ_j w_j.
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

    Both from the same draws; b = 0 is IWAE, b = 1 the ELBO with its KL from the draws.
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

    M = 1 is IWAE, K = 1 the ELBO. Fewer draws in a group: a looser bound, but a gradient for the encoder with more signal.
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
        """(samples, batch) → (K, M, batch)."""
        return log_w.unflatten(0, (-1, self.groups))


class PIWAE(MIWAE):
    """The encoder maximises MIWAE with M = `groups`; decoder and prior IWAE with all draws (Rainforth et al. 2018).

    Its value is the decoder's bound. In one backward pass: see `ELBOTerms.reweighted`. Under 16-bit floating point with a small
    exponent (trainer.precision=16-mixed) draws whose weight in the decoder's bound is below about 1e-4 are lost to the encoder.
    """

    option = "objective/bound=piwae"
    two_bounds = True

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        return log_w.softmax(0)

    def value(self, log_w: Tensor) -> Tensor:
        return iwae_bound(log_w)
