"""`objective/kl=capacity`: the KL held at a capacity that grows while training (Burgess et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.abilities import DENSITY, PARTS
from vae_lightning.bounds import Draws
from vae_lightning.errors import UserError, check_number
from vae_lightning.objectives.kl.base import KL
from vae_lightning.scheduled import ScheduledValue
from vae_lightning.schedules import Schedule
from vae_lightning.vae import VAE


class Capacity(KL):
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
            if self.discrete is not None and PARTS not in giver.abilities:
                raise UserError(f"objective.kl.discrete does not go with {giver.option}: it needs {PARTS}.")

    def forward(self, draws: Draws, beta: float | Tensor) -> float | Tensor:
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
