"""`objective/penalty`: what is added to the bound."""

from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.penalty.none import NoPenalty

__all__ = ["NoPenalty", "Penalty"]
