"""Training objectives: a bound on log p(x), a gradient estimator for it, the form of its KL term, and a penalty.

`Objective` puts the four together; the default is the ELBO with its KL weighted by β. The densities that they share are in
`ELBOTerms`. Bounds are in `bound`, gradient estimators in `gradient`, KL terms in `kl`, penalties in `penalty`.
"""

from vae_lightning.objectives.base import ObjectiveTerm
from vae_lightning.objectives.bound import CIWAE, ELBO, IWAE, MIWAE, PIWAE, Bound, ImportanceWeighted
from vae_lightning.objectives.gradient import DoublyReparameterised, GradientEstimator, Reparameterised, StickingTheLanding
from vae_lightning.objectives.kl import CapacityKL, FreeBitsKL, KLTerm, PlainKL
from vae_lightning.objectives.objective import Losses, Objective
from vae_lightning.objectives.penalty import (
    DIPPenalty,
    FactorVAEPenalty,
    MMDPenalty,
    NoPenalty,
    Penalty,
    RAEPenalty,
    TotalCorrelationPenalty,
)
from vae_lightning.objectives.terms import ELBOTerms, elbo_terms, iwae_bound, log_weights

__all__ = [
    "CIWAE",
    "ELBO",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "Bound",
    "CapacityKL",
    "DIPPenalty",
    "DoublyReparameterised",
    "ELBOTerms",
    "FactorVAEPenalty",
    "FreeBitsKL",
    "GradientEstimator",
    "ImportanceWeighted",
    "KLTerm",
    "Losses",
    "MMDPenalty",
    "NoPenalty",
    "Objective",
    "ObjectiveTerm",
    "Penalty",
    "PlainKL",
    "RAEPenalty",
    "Reparameterised",
    "StickingTheLanding",
    "TotalCorrelationPenalty",
    "elbo_terms",
    "iwae_bound",
    "log_weights",
]
