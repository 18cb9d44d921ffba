"""`objective/kl=capacity`: the KL held at a capacity that grows while training (Burgess et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.abilities import DENSITY
from vae_lightning.bounds import Draws
from vae_lightning.errors import check_number
from vae_lightning.objectives.kl.base import KL
from vae_lightning.scheduled import ScheduledValue
from vae_lightning.schedules import Schedule


class Capacity(KL):
    """γ·|E_batch[KL] − C(t)| (Burgess et al. 2018): γ = `gamma`, C in nats, a number or a schedule. β has no part in it."""

    option = "objective/kl=capacity"
    needs_of_posterior = frozenset({DENSITY})
    takes_beta = False

    def __init__(self, gamma: float = 1000.0, capacity: Schedule | float = 25.0) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0)
        given = capacity if isinstance(capacity, Schedule) else check_number("capacity", capacity, 0)
        self.capacity = ScheduledValue(given)

    def forward(self, draws: Draws, beta: float | Tensor) -> float | Tensor:
        return self.gamma * (draws.kl.mean() - self.capacity.value).abs()

    def report(self) -> dict[str, Tensor]:
        """`capacity`: C in force."""
        return {"capacity": self.capacity.value.clone()}
