"""`objective/penalty=sliced_wasserstein`: distance of the codes from the prior along random lines (Kolouri et al. 2019, SWAE)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import check_int, check_number
from vae_lightning.noise import GlobalNoise, Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms

MOST_PROJECTIONS = 100_000


class SlicedWassersteinPenalty(Penalty):
    """λ·SW²(q(z), p(z)), the mean over directions θ on the unit sphere of W²(θᵀz, θᵀu), z ~ q(z), u ~ p(z) (SWAE).

    W² of two samples of n numbers is the mean squared difference of the sorted numbers (Kolouri et al. 2019, eq. 12 and 16).
    Along one direction of d, N(μ, I) and N(0, I) are (θᵀμ)² apart, so SW² = ‖μ‖²/d: it shrinks with the number of dimensions,
    and so λ has to grow with it. From n codes it is biased upwards, since two samples of the same density differ too. Logs
    `sliced_wasserstein` = SW², which is not in nats.

    Args:
        weight: λ.
        projections: number of directions, drawn anew in each step.
    """

    option = "objective/penalty=sliced_wasserstein"
    posterior_needs = frozenset({REAL_SPACE})
    matches_prior = True

    def __init__(self, weight: float = 100.0, projections: int = 50) -> None:
        super().__init__()
        self.weight = check_number("weight", weight, 0)
        self.projections = check_int("projections", projections, 1, MOST_PROJECTIONS)

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        z = terms.z[0].float()
        noise = noise or GlobalNoise()
        u = terms.p.rsample(() if terms.p.batch_shape else (len(z),), noise).float()
        distance = self.distance(z, u, noise)
        return self.weight * distance, {"sliced_wasserstein": distance}

    def distance(self, z: Tensor, u: Tensor, noise: Noise) -> Tensor:
        """Estimate SW² from z and u, (n, latent_dim) each: a scalar."""
        directions = noise.normal(z[:1].detach(), (self.projections,)).flatten(0, 1)
        directions = directions / directions.norm(dim=1, keepdim=True)
        with torch.autocast(z.device.type, enabled=False):  # mixed precision would compute the products in 16 bits
            along_z, along_u = (points @ directions.T for points in (z, u))
        return (along_z.sort(0).values - along_u.sort(0).values).square().mean()
