"""`hierarchy=two_layer`: two stochastic layers, z1 below z2, with Gaussians between them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vae_lightning.errors import check_choice, check_int, check_ints
from vae_lightning.models.architectures.layers import activation as unit
from vae_lightning.models.architectures.layers import check_activation, pre_activation_width
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution
from vae_lightning.models.hierarchies.base import LAYERED, Hierarchy, TopDown
from vae_lightning.models.hierarchies.networks import ConditionalGaussian, gaussian, mlp
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class TwoLayer(Hierarchy):
    """p(x, z1, z2) = p(z2) p(z1|z2) p(x|z1) or p(x|z1, z2), with q(z1, z2|x) in one of two orders.

    `bottom_up` is q(z1|x) q(z2|z1) (Burda et al. 2016, section 5, who use z1_dim=100, hidden=[100, 100], tanh, latent_dim=50,
    and 200 and 200 units between x and z1). `top_down` is q(z2|x) q(z1|x, z2), the HVAE of Tomczak and Welling (2018, section
    4); they have separate encoders for z1 and z2, while here one encoder gives μ and log σ² of z2 and hidden[0] features of x
    to combine with z2.

    Args:
        z1_dim: size of z1; `latent_dim` is the size of z2.
        hidden: widths of each network between z1 and z2.
        activation: activation of those networks.
        inference: "bottom_up" or "top_down".
        decoder_sees: "z1" (Burda et al.) or "all" (HVAE).
    """

    option = "hierarchy=two_layer"

    def __init__(
        self,
        z1_dim: int = 100,
        hidden: Sequence[int] = (100, 100),
        activation: str = "tanh",
        inference: str = "bottom_up",
        decoder_sees: str = "z1",
    ) -> None:
        self.z1_dim, self.hidden = check_int("z1_dim", z1_dim), check_ints("hidden", hidden)
        self.activation = check_activation(activation, gated=True)
        self.inference = check_choice("inference", inference, ("bottom_up", "top_down"))
        self.decoder_sees = check_choice("decoder_sees", decoder_sees, ("z1", "all"))

    def layers(self, posterior: Posterior, prior: Prior) -> tuple[Posterior, Prior]:
        sizes = (self.z1_dim, self.check(posterior, prior))
        make = BottomUp if self.inference == "bottom_up" else TopDownPosterior
        q = make(sizes, self.hidden, self.activation, self.z1_dim if self.decoder_sees == "z1" else sum(sizes))
        down = mlp(sizes[1], self.hidden, 2 * self.z1_dim, self.activation)
        return q, TwoLayerPrior(prior, [down], sizes)


class TwoLayerPrior(TopDown):
    """p(z2) p(z1|z2)."""

    option = "hierarchy=two_layer"


class TwoLayerPosterior(Posterior):
    """q(z1, z2|x) over sizes (z1, z2); the decoder sees the first `decoded` numbers."""

    option = "hierarchy=two_layer"
    capabilities = LAYERED

    def __init__(self, sizes: tuple[int, int], hidden: Sequence[int], activation: str, decoded: int) -> None:
        super().__init__()
        self.sizes, self.latent_dim, self._decoded = sizes, sum(sizes), decoded
        self.network = self.between(hidden, activation)

    def between(self, hidden: Sequence[int], activation: str) -> nn.Module:
        """Return the network from the layer drawn first to the one drawn second."""
        raise NotImplementedError

    @property
    def decoder_dim(self) -> int:
        return self._decoded


class BottomUp(TwoLayerPosterior):
    """q(z1|x) q(z2|z1); the encoder gives μ and log σ² of z1."""

    def between(self, hidden: Sequence[int], activation: str) -> nn.Module:
        return mlp(self.sizes[0], hidden, 2 * self.sizes[1], activation)

    @property
    def features(self) -> int:
        return 2 * self.sizes[0]

    def forward(self, features: Tensor) -> HierarchicalDistribution:
        return HierarchicalDistribution(gaussian(features), [ConditionalGaussian(self.network)], self.sizes, upward=True)


class TopDownPosterior(TwoLayerPosterior):
    """q(z2|x) q(z1|x, z2); the encoder gives μ and log σ² of z2, and hidden[0] features of x for z1."""

    def between(self, hidden: Sequence[int], activation: str) -> nn.Module:
        self.width, self.activation = pre_activation_width(activation, hidden[0]), unit(activation, -1)
        return mlp(hidden[0] + self.sizes[1], hidden, 2 * self.sizes[0], activation)

    @property
    def features(self) -> int:
        return 2 * self.sizes[1] + self.width

    def forward(self, features: Tensor) -> HierarchicalDistribution:
        of_z2, of_x = features.split([2 * self.sizes[1], self.width], -1)
        return HierarchicalDistribution(gaussian(of_z2), [ConditionalGaussian(self.network, self.activation(of_x))], self.sizes)
