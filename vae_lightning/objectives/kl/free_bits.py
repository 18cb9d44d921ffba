"""`objective/kl=free_bits`: a minimum of information that costs nothing (Kingma et al. 2016)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.abilities import KL_PER_DIMENSION
from vae_lightning.bounds import Draws
from vae_lightning.distributions import kl_per_dimension
from vae_lightning.errors import InvalidValue, check_int, check_number
from vae_lightning.objectives.kl.base import KL
from vae_lightning.vae import VAE


class FreeBits(KL):
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

    def forward(self, draws: Draws, beta: float | Tensor) -> float | Tensor:
        per_dimension = kl_per_dimension(draws.q, draws.p)
        assert per_dimension is not None  # `needs`
        groups = per_dimension.mean(0).unflatten(0, (-1, self.group_size)).sum(1)
        return beta * groups.clamp_min(self.nats).sum()
