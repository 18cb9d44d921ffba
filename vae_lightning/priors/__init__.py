"""p(z): a prior is a module whose `forward()` returns a distribution over latents."""

from vae_lightning.priors.base import ANY, Encode, Prior
from vae_lightning.priors.flow import NormalizingFlow
from vae_lightning.priors.mixture import GaussianMixture
from vae_lightning.priors.product import Product
from vae_lightning.priors.standard_normal import StandardNormal
from vae_lightning.priors.uniform_categorical import UniformCategorical
from vae_lightning.priors.uniform_sphere import UniformSphere
from vae_lightning.priors.vamp import Vamp

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
    "Vamp",
]
