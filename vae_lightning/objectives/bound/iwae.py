"""`objective/bound=iwae`: the importance-weighted bound (Burda et al. 2016)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import iwae
from vae_lightning.objectives.bound.weighted import ImportanceWeighted


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
        return iwae(log_w)
