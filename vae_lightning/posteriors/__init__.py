"""q(z|x): a posterior turns the encoder's features into a distribution over latents."""

from vae_lightning.posteriors.base import Posterior
from vae_lightning.posteriors.categorical import Categorical
from vae_lightning.posteriors.delta import PlainCode
from vae_lightning.posteriors.diagonal import Diagonal
from vae_lightning.posteriors.flow import InverseAutoregressive, PlanarFlow
from vae_lightning.posteriors.full_covariance import FullCovariance
from vae_lightning.posteriors.joint import Joint
from vae_lightning.posteriors.von_mises_fisher import VonMisesFisher

__all__ = [
    "Categorical",
    "Diagonal",
    "FullCovariance",
    "InverseAutoregressive",
    "Joint",
    "PlainCode",
    "PlanarFlow",
    "Posterior",
    "VonMisesFisher",
]
