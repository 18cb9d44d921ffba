"""`objective/bound=miwae`: the mean of several importance-weighted bounds (Rainforth et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import iwae
from vae_lightning.errors import InvalidValue, check_int
from vae_lightning.objectives.bound.weighted import ImportanceWeighted


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
        return iwae(self.grouped(log_w)).mean(0)

    def grouped(self, log_w: Tensor) -> Tensor:
        """(samples, batch) → (K, M, batch)."""
        return log_w.unflatten(0, (-1, self.groups))
