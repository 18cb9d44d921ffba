"""`objective/gradient`: how the gradient with respect to the encoder is estimated."""

from vae_lightning.objectives.gradient.base import Gradient
from vae_lightning.objectives.gradient.dreg import DoublyReparameterised
from vae_lightning.objectives.gradient.reparameterised import Reparameterised
from vae_lightning.objectives.gradient.stl import StickingTheLanding

__all__ = ["DoublyReparameterised", "Gradient", "Reparameterised", "StickingTheLanding"]
