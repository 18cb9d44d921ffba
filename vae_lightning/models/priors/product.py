"""`prior=product`: a separate prior for each part of a joint code."""

from __future__ import annotations

from vae_lightning.capabilities import TWO_PARTS
from vae_lightning.errors import InvalidValue
from vae_lightning.models.distributions.joint_latents import JointLatents
from vae_lightning.models.priors.base import ANY, Encode, Prior


class Product(Prior):
    """p(z, c) = p(z)·p(c), for `posterior=joint` (Dupont 2018). The parts cannot be priors made of posteriors (`vamp`)."""

    option = "prior=product"

    def __init__(self, continuous: Prior, discrete: Prior) -> None:
        super().__init__()
        for name, part in (("continuous", continuous), ("discrete", discrete)):
            if part.space == ANY:
                raise InvalidValue(name, part.option, "a prior of its own space")
        self.continuous, self.discrete = continuous, discrete
        self.latent_dim = continuous.latent_dim + discrete.latent_dim
        self.capabilities = (continuous.capabilities & discrete.capabilities) | {TWO_PARTS}
        self.needs = continuous.needs | discrete.needs
        self.space = f"{continuous.latent_dim} {continuous.space} and {discrete.space}"

    def forward(self, encode: Encode | None = None) -> JointLatents:
        return JointLatents({"continuous": self.continuous(), "discrete": self.discrete()})
