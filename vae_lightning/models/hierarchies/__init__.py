"""One stochastic layer or several: a hierarchy makes the VAE's q(z|x) and p(z) from the options of posterior and prior.

z is one vector, the layers side by side, z1 (nearest to the image) first; the rest of the code sees one q and one p.
"""

from vae_lightning.models.hierarchies.base import Hierarchy
from vae_lightning.models.hierarchies.ladder import Ladder
from vae_lightning.models.hierarchies.none import NoHierarchy
from vae_lightning.models.hierarchies.two_layer import TwoLayer

__all__ = ["Hierarchy", "Ladder", "NoHierarchy", "TwoLayer"]
