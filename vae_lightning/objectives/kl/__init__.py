"""`objective/kl`: the form in which the KL enters a bound that has one."""

from vae_lightning.objectives.kl.base import KL
from vae_lightning.objectives.kl.plain import Plain

__all__ = ["KL", "Plain"]
