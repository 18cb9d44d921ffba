"""What every form of the KL says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY, KL_PER_DIMENSION, TWO_PARTS
from vae_lightning.errors import InvalidValue, UserError, check_int, check_number
from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.vae import VAE
from vae_lightning.objectives.part import ObjectiveTerm
from vae_lightning.objectives.terms import ELBOTerms
from vae_lightning.schedules.beta import Schedule
from vae_lightning.schedules.scheduled_value import ScheduledValue


class KLTerm(ObjectiveTerm):
    """The term that a bound adds for KL(q(z|x) ‖ p(z)).

    `reweighs`: whether it is another than β·KL; `takes_beta`: whether β weighs it; `by_formula`: whether it takes the KL by its
    formula whatever the gradient estimator.
    """

    reweighs: ClassVar[bool] = True
    takes_beta: ClassVar[bool] = True
    by_formula: bool = False

    def forward(self, draws: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        """A scalar, mean over the batch in nats per image."""
        raise NotImplementedError

    def report(self) -> dict[str, Tensor]:
        """What is written beside `kl`, by name."""
        return {}


class PlainKL(KLTerm):
    """β·KL(q(z|x) ‖ p(z)); nothing where q has no density (a plain auto-encoder)."""

    option = "objective/kl=plain"
    reweighs = False

    def forward(self, draws: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        return beta * draws.mean_kl if draws.has_kl else 0.0


class FreeBitsKL(KLTerm):
    """β·Σ_g max(λ, E_batch[KL_g]), where KL_g sums the KL over group g of latent dimensions (Kingma et al. 2016, free bits).

    λ = `nats`, of each group of `group_size` neighbouring dimensions. A group below λ feels no pull towards the prior, so that
    it need not collapse. The mean is that of the batch (of each process).
    """

    option = "objective/kl=free_bits"
    needs = frozenset({KL_PER_DIMENSION})
    by_formula = True

    def __init__(self, nats: float = 0.5, group_size: int = 1) -> None:
        super().__init__()
        self.nats, self.group_size = check_number("nats", nats, 0), check_int("group_size", group_size)

    def check(self, vae: VAE) -> None:
        super().check(vae)
        if vae.latent_dim % self.group_size:
            raise InvalidValue("objective.kl.group_size", self.group_size, f"a divisor of latent_dim, which is {vae.latent_dim}")

    def forward(self, draws: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        per_dimension = kl_per_dimension(draws.q, draws.p)
        assert per_dimension is not None  # `needs`
        groups = per_dimension.mean(0).unflatten(0, (-1, self.group_size)).sum(1)
        return beta * groups.clamp_min(self.nats).sum()


class CapacityKL(KLTerm):
    """γ·|E_batch[KL] − C(t)| (Burgess et al. 2018): γ = `gamma`, C in nats, a number or a schedule. β has no part in it.

    discrete: a capacity C_c of its own for the discrete part c of a joint code (z, c), and C is then that of z alone:
    γ·|E_batch[KL_z] − C(t)| + γ·|E_batch[KL_c] − C_c(t)| (Dupont 2018, JointVAE). Under one capacity for both, z may take all of
    it. KL_c is at most log K for each variable under a uniform prior over K classes, 2.30 for ten: more is never reached.
    """

    option = "objective/kl=capacity"
    needs_of_posterior = frozenset({DENSITY})
    takes_beta = False

    def __init__(
        self, gamma: float = 1000.0, capacity: Schedule | float = 25.0, discrete: Schedule | float | None = None
    ) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0)
        self.capacity = scheduled("capacity", capacity)
        self.discrete = None if discrete is None else scheduled("discrete", discrete)
        self.by_formula = discrete is not None

    def check(self, vae: VAE) -> None:
        super().check(vae)
        for giver in (vae.posterior, vae.latent_prior):
            if self.discrete is not None and TWO_PARTS not in giver.capabilities:
                raise UserError(f"objective.kl.discrete does not go with {giver.option}: it needs {TWO_PARTS}.")

    def forward(self, draws: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        if self.discrete is None:
            return self.gamma * (draws.mean_kl - self.capacity.value).abs()
        kl_z, kl_c = draws.kl_parts["continuous"].mean(), draws.kl_parts["discrete"].mean()
        return self.gamma * ((kl_z - self.capacity.value).abs() + (kl_c - self.discrete.value).abs())

    def report(self) -> dict[str, Tensor]:
        """`capacity`, `capacity_discrete`: C and C_c in force."""
        values = {"capacity": self.capacity, "capacity_discrete": self.discrete}
        return {name: given.value.clone() for name, given in values.items() if given is not None}


def scheduled(name: str, given: Schedule | float) -> ScheduledValue:
    """C(t), in nats, at least 0."""
    return ScheduledValue(given if isinstance(given, Schedule) else check_number(name, given, 0))
