"""`objective/kl`: the form in which the KL enters a bound that has one."""

from vae_lightning.objectives.kl.base import KL
from vae_lightning.objectives.kl.capacity import Capacity
from vae_lightning.objectives.kl.free_bits import FreeBits
from vae_lightning.objectives.kl.plain import Plain

__all__ = ["KL", "Capacity", "FreeBits", "Plain"]
