"""`posterior=joint`: a code with a continuous and a discrete part."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.capabilities import TWO_PARTS
from vae_lightning.errors import InvalidValue
from vae_lightning.models.distributions.joint_latents import JointLatents
from vae_lightning.models.posteriors.base import Posterior


class Joint(Posterior):
    """q_φ(z, c|x) = q_φ(z|x)·q_φ(c|x); the code is (z, c) concatenated (Dupont 2018).

    Each part is a posterior on its share of the encoder's features, and the joint code can do what both parts can. The KL is
    the sum of the parts', each by its formula if it has one; each is logged (`kl_continuous`, `kl_discrete`).
    """

    option = "posterior=joint"

    def __init__(self, continuous: Posterior, discrete: Posterior) -> None:
        super().__init__()
        for name, part in (("continuous.grid", continuous), ("discrete.grid", discrete)):
            if part.grid is not None:
                raise InvalidValue(name, list(part.grid), "null: a joint code is a vector")
        self.continuous, self.discrete = continuous, discrete
        self.latent_dim = continuous.latent_dim + discrete.latent_dim
        self.capabilities = (continuous.capabilities & discrete.capabilities) | {TWO_PARTS}
        self.space = f"{continuous.latent_dim} {continuous.space} and {discrete.space}"

    @property
    def features(self) -> int:
        """The sum of the parts' features."""
        return self.continuous.features + self.discrete.features

    def forward(self, features: Tensor) -> JointLatents:
        first, second = features.split([self.continuous.features, self.discrete.features], -1)
        return JointLatents({"continuous": self.continuous(first), "discrete": self.discrete(second)})
