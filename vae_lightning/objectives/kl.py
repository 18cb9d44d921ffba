"""Forms of the KL term: β·KL (here β is applied), free bits, and a capacity."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.capabilities import DENSITY, KL_PER_DIMENSION, TWO_PARTS
from vae_lightning.errors import InvalidValue, UserError, check_int, check_number
from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.vae import VAE
from vae_lightning.objectives.base import ObjectiveTerm
from vae_lightning.objectives.terms import ELBOTerms
from vae_lightning.schedules.beta import Schedule
from vae_lightning.schedules.scheduled_value import ScheduledValue


class KLTerm(ObjectiveTerm):
    """The term that a bound adds for KL(q(z|x) ‖ p(z)).

    Attributes:
        replaces_beta_kl: whether it differs from β·KL.
        weighted_by_beta: whether β weights it.
        needs_closed_form: whether it uses the KL's formula whatever the gradient estimator.
    """

    replaces_beta_kl: ClassVar[bool] = True
    weighted_by_beta: ClassVar[bool] = True
    needs_closed_form: bool = False

    def forward(self, terms: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        """Return a scalar, the mean over the batch in nats per image."""
        raise NotImplementedError

    def report(self) -> dict[str, Tensor]:
        """Return what is logged besides `kl`, by name."""
        return {}


class PlainKL(KLTerm):
    """β·KL(q(z|x) ‖ p(z)) (Higgins et al. 2017); 0 if q has no density (a plain auto-encoder)."""

    option = "objective/kl=plain"
    replaces_beta_kl = False

    def forward(self, terms: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        return beta * terms.mean_kl if terms.has_kl else 0.0


class FreeBitsKL(KLTerm):
    """β·Σ_g max(λ, E_batch[KL_g]), where KL_g sums the KL over group g of latent dimensions (Kingma et al. 2016, free bits).

    A group below λ is not pulled towards the prior, so it need not collapse. The mean is over the batch of each process.

    Args:
        nats: λ, the free nats of each group.
        group_size: neighbouring latent dimensions per group.
    """

    option = "objective/kl=free_bits"
    needs = frozenset({KL_PER_DIMENSION})
    needs_closed_form = True

    def __init__(self, nats: float = 0.5, group_size: int = 1) -> None:
        super().__init__()
        self.nats, self.group_size = check_number("nats", nats, 0), check_int("group_size", group_size)

    def check(self, vae: VAE) -> None:
        """Raise UserError also if the group size does not divide `latent_dim`."""
        super().check(vae)
        if vae.latent_dim % self.group_size:
            raise InvalidValue("objective.kl.group_size", self.group_size, f"a divisor of latent_dim, which is {vae.latent_dim}")

    def forward(self, terms: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        per_dimension = kl_per_dimension(terms.q, terms.p)
        assert per_dimension is not None  # guaranteed by `needs`
        groups = per_dimension.mean(0).unflatten(0, (-1, self.group_size)).sum(1)
        return beta * groups.clamp_min(self.nats).sum()


class CapacityKL(KLTerm):
    """γ·|E_batch[KL] − C(t)| (Burgess et al. 2018). β plays no part in it.

    With `discrete`, the two parts of a joint code (z, c) have a capacity each (Dupont 2018, JointVAE):
    γ·|E_batch[KL_z] − C(t)| + γ·|E_batch[KL_c] − C_c(t)|. Under one shared capacity, z may use all of it. KL_c is at most log K
    for each variable under a uniform prior over K classes, which is 2.30 nats for ten classes.

    Args:
        gamma: γ.
        capacity: C in nats, a number or a schedule.
        discrete: C_c in nats, the capacity of the discrete part; None for one capacity for the whole code.
    """

    option = "objective/kl=capacity"
    posterior_needs = frozenset({DENSITY})
    weighted_by_beta = False

    def __init__(
        self, gamma: float = 1000.0, capacity: Schedule | float = 25.0, discrete: Schedule | float | None = None
    ) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0)
        self.capacity = _scheduled_nats("capacity", capacity)
        self.discrete = None if discrete is None else _scheduled_nats("discrete", discrete)
        self.needs_closed_form = discrete is not None

    def check(self, vae: VAE) -> None:
        """Raise UserError also if `discrete` is set and the code does not have two parts."""
        super().check(vae)
        for giver in (vae.posterior, vae.latent_prior):
            if self.discrete is not None and TWO_PARTS not in giver.capabilities:
                raise UserError(f"objective.kl.discrete is incompatible with {giver.option}: it needs {TWO_PARTS}.")

    def forward(self, terms: ELBOTerms, beta: float | Tensor) -> float | Tensor:
        if self.discrete is None:
            return self.gamma * (terms.mean_kl - self.capacity.value).abs()
        kl_z, kl_c = terms.kl_by_part["continuous"].mean(), terms.kl_by_part["discrete"].mean()
        return self.gamma * ((kl_z - self.capacity.value).abs() + (kl_c - self.discrete.value).abs())

    def report(self) -> dict[str, Tensor]:
        """`capacity` and `capacity_discrete`: the current C and C_c, in nats."""
        values = {"capacity": self.capacity, "capacity_discrete": self.discrete}
        return {name: value.value.clone() for name, value in values.items() if value is not None}


def _scheduled_nats(name: str, value: Schedule | float) -> ScheduledValue:
    return ScheduledValue(value if isinstance(value, Schedule) else check_number(name, value, 0))
