"""`prior=vamp`: a mixture of the posteriors of learned pseudo-inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY_ANYWHERE, EVERYTHING, KL_PER_DIMENSION
from vae_lightning.errors import check_choice, check_int
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.gaussian_mixture import Mixture
from vae_lightning.models.priors.base import ANY, Encode, Prior

if TYPE_CHECKING:
    from vae_lightning.data.images import Images

STARTS = ("noise", "data")
MARGIN = 0.01  # keeps pseudo-inputs that start from data away from 0 and 1, where they would have no gradient


class VampPrior(Prior):
    """p(z) = (1/K) Σ_k q_φ(z|u_k) with learned pseudo-inputs u_1 … u_K in [0, 1]^shape (Tomczak and Welling 2018).

    With the training images as u it would be the aggregate posterior, which they show to be the optimal prior. u is the sigmoid
    of the learned parameters, so it stays within [0, 1]. Densities encode all of u once; a draw encodes only the components
    that it selects.

    Args:
        numbers: how many numbers the posterior's code has.
        shape: shape of the images, (channels, height, width).
        mean: mean of all training pixels, in [0, 1].
        pseudo_inputs: K.
        starts_from: "noise", pixels spread about the data's mean as in the authors' code, or "data", random training images.
    """

    option = "prior=vamp"
    capabilities = EVERYTHING - {KL_PER_DIMENSION}
    needs = frozenset({DENSITY_ANYWHERE})
    space = ANY
    of_images = True

    def __init__(
        self,
        numbers: int,
        shape: tuple[int, int, int],
        mean: float,
        pseudo_inputs: int = 500,
        starts_from: str = "noise",
    ) -> None:
        super().__init__()
        self.latent_dim = check_int("numbers", numbers)
        self.starts_from = check_choice("starts_from", starts_from, STARTS)
        centre = torch.full((check_int("pseudo_inputs", pseudo_inputs), *shape), min(max(mean, MARGIN), 1 - MARGIN)).logit()
        self.logits = nn.Parameter(centre + 0.5 * torch.randn_like(centre))

    def start(self, images: Images) -> None:
        if self.starts_from == "data":
            chosen = images[torch.randint(len(images), (len(self.logits),))].images
            with torch.no_grad():
                self.logits.copy_((chosen.float() / 255).clamp(MARGIN, 1 - MARGIN).logit())

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs u, (K, *shape), in [0, 1]."""
        return self.logits.sigmoid()

    def forward(self, encode: Encode | None = None) -> Mixture:
        if encode is None:
            raise ValueError("A VampPrior is a mixture of posteriors: call it with encode, a function from images to q(z|x).")
        encoder, pseudo_inputs = encode, self.pseudo_inputs

        def select(index: slice | Tensor) -> LatentDistribution:
            return encoder(pseudo_inputs[index])

        count = len(pseudo_inputs)
        return Mixture(pseudo_inputs.new_full((count,), -math.log(count)), select, self.latent_dim)
