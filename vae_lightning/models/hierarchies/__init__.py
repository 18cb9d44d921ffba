"""Hierarchies: one stochastic layer or several, built from the chosen posterior and prior.

z is one vector, the layers concatenated, z1 (closest to the image) first, so the rest of the code sees one q and one p.
"""

from vae_lightning.models.hierarchies.base import Hierarchy
from vae_lightning.models.hierarchies.ladder import Ladder
from vae_lightning.models.hierarchies.none import NoHierarchy
from vae_lightning.models.hierarchies.two_layer import TwoLayer

__all__ = ["Hierarchy", "Ladder", "NoHierarchy", "TwoLayer"]
