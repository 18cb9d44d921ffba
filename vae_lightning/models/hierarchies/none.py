"""`hierarchy=none`: one stochastic layer."""

from __future__ import annotations

from vae_lightning.models.hierarchies.base import Hierarchy
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class NoHierarchy(Hierarchy):
    """Leaves posterior and prior unchanged."""

    option = "hierarchy=none"

    def layers(self, posterior: Posterior, prior: Prior) -> tuple[Posterior, Prior]:
        return posterior, prior
