"""Posteriors q(z|x): a posterior turns the encoder's output into a distribution over latents."""

from vae_lightning.models.posteriors.base import Posterior
from vae_lightning.models.posteriors.categorical import CategoricalPosterior
from vae_lightning.models.posteriors.delta import PointMass
from vae_lightning.models.posteriors.diagonal import Diagonal
from vae_lightning.models.posteriors.flow import InverseAutoregressive, PlanarFlow
from vae_lightning.models.posteriors.full_covariance import FullCovariance
from vae_lightning.models.posteriors.joint import Joint
from vae_lightning.models.posteriors.von_mises_fisher import VonMisesFisherPosterior

__all__ = [
    "CategoricalPosterior",
    "Diagonal",
    "FullCovariance",
    "InverseAutoregressive",
    "Joint",
    "PlanarFlow",
    "PointMass",
    "Posterior",
    "VonMisesFisherPosterior",
]
