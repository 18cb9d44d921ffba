"""`objective/gradient`: how the gradient with respect to the encoder is estimated."""

from vae_lightning.objectives.gradient.base import Gradient
from vae_lightning.objectives.gradient.reparameterised import Reparameterised

__all__ = ["Gradient", "Reparameterised"]
