"""Conditions: the label c of a conditional VAE, given to encoder, decoder and prior."""

from vae_lightning.models.conditions.base import Condition
from vae_lightning.models.conditions.label import Label
from vae_lightning.models.conditions.none import NoCondition

__all__ = ["Condition", "Label", "NoCondition"]
