"""The base class of hierarchies, and their top-down prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE, REAL_SPACE, require
from vae_lightning.errors import UserError
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution
from vae_lightning.models.hierarchies.networks import ConditionalGaussian
from vae_lightning.models.posteriors import Diagonal, Posterior
from vae_lightning.models.priors import ANY, Encode, Prior

if TYPE_CHECKING:
    from vae_lightning.data.images import Images

LAYERED = frozenset({DENSITY, DENSITY_ANYWHERE, REAL_SPACE})


class Hierarchy:
    """Builds the posterior and the prior of a VAE; the posterior and prior it is given have the top layer's `latent_dim`."""

    option: ClassVar[str]

    def layers(self, posterior: Posterior, prior: Prior) -> tuple[Posterior, Prior]:
        """Return q and p over all layers; `prior` is that of the top layer.

        Raises:
            UserError: the posterior or the prior is incompatible with the hierarchy.
        """
        raise NotImplementedError

    def check(self, posterior: Posterior, prior: Prior) -> int:
        """Return the size of the top layer; raise UserError unless the posterior is diagonal and fits the prior."""
        if not isinstance(posterior, Diagonal):
            raise UserError(
                f"{posterior.option} is incompatible with {self.option}: each of its layers has a diagonal Gaussian posterior of "
                "its own; leave posterior out."
            )
        if posterior.grid is not None:
            raise UserError(
                f"posterior.grid is incompatible with {self.option}, whose layers are vectors: leave posterior.grid out."
            )
        if prior.space not in (posterior.space, ANY) or prior.latent_dim != posterior.latent_dim:
            raise UserError(
                f"{prior.option} is incompatible with {self.option}: its top layer has {posterior.latent_dim} numbers "
                f"({posterior.space}), and the prior {prior.latent_dim} ({prior.space})."
            )
        require(prior, prior.needs, posterior)
        return prior.latent_dim


class TopDown(Prior):
    """p(z) = p(z_L) Π_l p(z_l | z_{l+1}), each p(z_l | z_{l+1}) = N(μ_l(z_{l+1}), diag σ²_l(z_{l+1})).

    Args:
        top: p(z_L), any prior over real numbers.
        networks: from z_{l+1} to μ_l and log σ²_l, the lowest layer first.
        sizes: the sizes of all layers, the lowest first.
    """

    capabilities = LAYERED

    def __init__(self, top: Prior, networks: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.top, self.networks, self.sizes = top, nn.ModuleList(networks), list(sizes)
        self.latent_dim = sum(sizes)

    @property
    def top_dim(self) -> int:
        return self.sizes[-1]

    @property
    def of_images(self) -> bool:  # type: ignore[override]
        """Whether the prior on the top is made of images."""
        return self.top.of_images

    def start(self, images: Images) -> None:
        self.top.start(images)

    def forward(self, encode: Encode | None = None) -> HierarchicalDistribution:
        """Return p(z) over all layers; the top layer's prior gets `encode` restricted to the top layer, q(z_L|x)."""

        def encode_top(x: Tensor) -> LatentDistribution:
            assert encode is not None
            return cast(HierarchicalDistribution, encode(x)).top

        return HierarchicalDistribution(self.top(encode_top if encode is not None else None), self.steps(), self.sizes)

    def steps(self) -> list[ConditionalGaussian]:
        """p(z_l | z_{l+1}) for each layer, from the second highest down."""
        return [ConditionalGaussian(network) for network in reversed(self.networks)]

    def with_lower_layers(self, top: Tensor) -> Tensor:
        layers = [top]
        for step in self.steps():
            layers.append(step(layers[-1]).mean)
        return torch.cat(layers[::-1], -1)
