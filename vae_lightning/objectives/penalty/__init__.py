"""Penalties added to the loss (`objective/penalty`)."""

from vae_lightning.objectives.penalty.adversarial import AdversarialPenalty
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.penalty.dip import DIPPenalty
from vae_lightning.objectives.penalty.factor import FactorVAEPenalty
from vae_lightning.objectives.penalty.mmd import MMDPenalty
from vae_lightning.objectives.penalty.none import NoPenalty
from vae_lightning.objectives.penalty.rae import RAEPenalty
from vae_lightning.objectives.penalty.sliced_wasserstein import SlicedWassersteinPenalty
from vae_lightning.objectives.penalty.tc import TotalCorrelationPenalty

__all__ = [
    "AdversarialPenalty",
    "DIPPenalty",
    "FactorVAEPenalty",
    "MMDPenalty",
    "NoPenalty",
    "Penalty",
    "RAEPenalty",
    "SlicedWassersteinPenalty",
    "TotalCorrelationPenalty",
]
