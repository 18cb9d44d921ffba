"""q(z|x): a posterior turns the encoder's features into a distribution over latents."""

from vae_lightning.posteriors.base import Posterior
from vae_lightning.posteriors.diagonal import Diagonal

__all__ = ["Diagonal", "Posterior"]
