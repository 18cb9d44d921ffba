"""`objective/bound`: the lower bound on log p(x) that is maximised."""

from vae_lightning.objectives.bound.base import Bound
from vae_lightning.objectives.bound.elbo import ELBO

__all__ = ["ELBO", "Bound"]
