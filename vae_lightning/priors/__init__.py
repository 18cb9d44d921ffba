"""p(z): a prior is a module whose `forward()` returns a distribution over latents."""

from vae_lightning.priors.base import ANY, Encode, Prior
from vae_lightning.priors.standard_normal import StandardNormal

__all__ = ["ANY", "Encode", "Prior", "StandardNormal"]
