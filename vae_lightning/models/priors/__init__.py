"""Priors p(z): a prior is a module whose `forward()` returns a distribution over latents."""

from vae_lightning.models.priors.base import ANY, Encode, Prior
from vae_lightning.models.priors.flow import NormalizingFlow
from vae_lightning.models.priors.mixture import GaussianMixture
from vae_lightning.models.priors.product import Product
from vae_lightning.models.priors.standard_normal import StandardNormal
from vae_lightning.models.priors.uniform_categorical import UniformCategorical
from vae_lightning.models.priors.uniform_sphere import UniformSphere
from vae_lightning.models.priors.vamp import VampPrior

__all__ = [
    "ANY",
    "Encode",
    "GaussianMixture",
    "NormalizingFlow",
    "Prior",
    "Product",
    "StandardNormal",
    "UniformCategorical",
    "UniformSphere",
    "VampPrior",
]
