"""`objective/penalty`: what is added to the bound."""

from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.penalty.dip import DIP
from vae_lightning.objectives.penalty.factor import Factor
from vae_lightning.objectives.penalty.mmd import MMD
from vae_lightning.objectives.penalty.none import NoPenalty
from vae_lightning.objectives.penalty.rae import RAE
from vae_lightning.objectives.penalty.tc import TotalCorrelation

__all__ = ["DIP", "MMD", "RAE", "Factor", "NoPenalty", "Penalty", "TotalCorrelation"]
