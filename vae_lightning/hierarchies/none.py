"""`hierarchy=none`: one stochastic layer."""

from __future__ import annotations

from vae_lightning.hierarchies.base import Hierarchy
from vae_lightning.posteriors import Posterior
from vae_lightning.priors import Prior


class NoHierarchy(Hierarchy):
    """Posterior and prior as they are."""

    option = "hierarchy=none"

    def layers(self, posterior: Posterior, prior: Prior) -> tuple[Posterior, Prior]:
        return posterior, prior
