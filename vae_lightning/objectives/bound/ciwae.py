"""`objective/bound=ciwae`: between the ELBO and the importance-weighted bound (Rainforth et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import iwae
from vae_lightning.errors import check_number
from vae_lightning.objectives.bound.weighted import ImportanceWeighted


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
        return self.elbo_weight * log_w.mean(0) + (1 - self.elbo_weight) * iwae(log_w)
