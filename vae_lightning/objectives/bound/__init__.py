"""`objective/bound`: the lower bound on log p(x) that is maximised."""

from vae_lightning.objectives.bound.base import Bound
from vae_lightning.objectives.bound.ciwae import CIWAE
from vae_lightning.objectives.bound.elbo import ELBO
from vae_lightning.objectives.bound.iwae import IWAE
from vae_lightning.objectives.bound.miwae import MIWAE
from vae_lightning.objectives.bound.piwae import PIWAE
from vae_lightning.objectives.bound.weighted import ImportanceWeighted

__all__ = ["CIWAE", "ELBO", "IWAE", "MIWAE", "PIWAE", "Bound", "ImportanceWeighted"]
