"""`posterior=von_mises_fisher`: codes on the unit sphere (the hyperspherical VAE)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize, softplus

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE
from vae_lightning.errors import check_int
from vae_lightning.models.distributions.spherical import VonMisesFisher as Distribution
from vae_lightning.models.posteriors.base import Posterior


class VonMisesFisherPosterior(Posterior):
    """q_φ(z|x) = vMF(μ_φ(x), κ_φ(x)) on the sphere S^(latent_dim − 1); codes have length 1 (Davidson et al. 2018).

    The encoder gives a vector whose direction is μ, and κ = softplus(·) + 1 as in the authors' code. latent_dim is at least 2.
    The KL to `prior=uniform_sphere` has a closed form, which depends on κ alone.
    """

    option = "posterior=von_mises_fisher"
    capabilities = frozenset({DENSITY, DENSITY_ANYWHERE})
    space = "sphere"

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = check_int("latent_dim", latent_dim, 2)

    @property
    def features(self) -> int:
        """latent_dim + 1: the direction, and κ."""
        return self.latent_dim + 1

    def forward(self, features: Tensor) -> Distribution:
        direction, concentration = features.float().split([self.latent_dim, 1], -1)
        return Distribution(normalize(direction, dim=-1), softplus(concentration.squeeze(-1)) + 1)
