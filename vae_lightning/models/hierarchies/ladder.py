"""`hierarchy=ladder`: the ladder VAE (Sønderby et al. 2016), whose q corrects p's top-down pass with evidence from the image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vae_lightning.errors import InvalidValue, check_ints
from vae_lightning.models.architectures.layers import activation, check_activation
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution
from vae_lightning.models.hierarchies.base import LAYERED, Hierarchy, TopDown
from vae_lightning.models.hierarchies.networks import CombinedGaussian, gaussian, mlp
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class Ladder(Hierarchy):
    """Ladder VAE: q combines a bottom-up pass over the image with the prior's top-down pass (Sønderby et al. 2016, section 3).

    Upwards, d_1 = f(x) and d_l = MLP(d_{l−1}), each with a μ̂_l and σ̂²_l. Downwards, q(z_L|x) = N(μ̂_L, σ̂²_L), and
    q(z_l|x, z_{l+1}) is the precision-weighted combination of N(μ̂_l, σ̂_l²) with p(z_l|z_{l+1}). The decoder is p(x|z_1).

    The paper uses latent_dim=4, dims=[64, 32, 16, 8] and widths=[256, 128, 64, 32] under an encoder of 512 and 512 units, with
    β rising from 0 over the first 200 epochs, and batch normalisation, which is omitted here so that an image's density does
    not depend on its batch.

    Args:
        dims: sizes of the layers below the top, the lowest first; `latent_dim` is the top layer's size.
        widths: for each of `dims`, the width of the networks between that layer and the next higher one (two hidden layers each).
        activation: activation of the networks.
    """

    option = "hierarchy=ladder"

    def __init__(self, dims: Sequence[int] = (32,), widths: Sequence[int] = (128,), activation: str = "leaky_relu") -> None:
        self.dims, self.widths = check_ints("dims", dims), check_ints("widths", widths)
        if len(self.dims) != len(self.widths):
            raise InvalidValue("widths", list(widths), f"one for each of dims={list(dims)}")
        self.activation = check_activation(activation)

    def layers(self, posterior: Posterior, prior: Prior) -> tuple[Posterior, Prior]:
        sizes = [*self.dims, self.check(posterior, prior)]
        down = [mlp(sizes[i + 1], [width, width], 2 * sizes[i], self.activation) for i, width in enumerate(self.widths)]
        p = LadderPrior(prior, down, sizes)
        return LadderPosterior(sizes, self.widths, self.activation, p), p


class LadderPrior(TopDown):
    """p(z_L) Π_l p(z_l|z_{l+1})."""

    option = "hierarchy=ladder"


class LadderPosterior(Posterior):
    """q(z_L|x) Π_l q(z_l|x, z_{l+1}); the encoder gives μ̂_1, log σ̂²_1 and the input of the upward pass."""

    option = "hierarchy=ladder"
    capabilities = LAYERED

    def __init__(self, sizes: Sequence[int], widths: Sequence[int], activation_name: str, prior: TopDown) -> None:
        super().__init__()
        self.sizes, self.widths, self.latent_dim = list(sizes), list(widths), sum(sizes)
        self._prior = (prior,)  # in a tuple, so that its weights are registered and saved only with the prior
        rungs = zip(widths, [*widths[1:], 0], sizes[1:], strict=True)
        self.up = nn.ModuleList(
            nn.Sequential(
                activation(activation_name), nn.Linear(width, width), activation(activation_name), nn.Linear(width, 2 * size + on)
            )
            for width, on, size in rungs
        )

    @property
    def features(self) -> int:
        return 2 * self.sizes[0] + self.widths[0]

    @property
    def decoder_dim(self) -> int:
        """The size of z_1."""
        return self.sizes[0]

    def forward(self, features: Tensor) -> HierarchicalDistribution:
        of_layers = []  # μ̂_l and log σ̂²_l, the lowest layer first
        for size, rung in zip(self.sizes, [*self.up, None], strict=True):
            of_layer, on = features.tensor_split([2 * size], -1)
            of_layers.append(of_layer)
            features = rung(on) if rung is not None else on
        prior_steps = self._prior[0].steps()
        steps = [CombinedGaussian(step, of_layer) for step, of_layer in zip(prior_steps, of_layers[-2::-1], strict=True)]
        return HierarchicalDistribution(gaussian(of_layers[-1]), steps, self.sizes)
