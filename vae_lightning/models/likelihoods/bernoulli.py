"""`likelihood=bernoulli`: binary pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution

from vae_lightning.models.distributions.base import CachedIndependent
from vae_lightning.models.likelihoods.base import Likelihood

MEAN_MARGIN = 1e-3  # keeps means away from 0 and 1, whose logits are infinite


class Bernoulli(Likelihood):
    """log p(x|z) = Σ_i x_i log π_i + (1 − x_i) log(1 − π_i) with π = sigmoid(decoder(z)) (Kingma and Welling 2014, eq. 11).

    In nats per image. For grey x in [0, 1] this is not a likelihood, since it is not normalised, though tutorials use it that
    way.
    bias_from_data: start the decoder's last bias at the logit of the mean training image (Burda et al. 2016, in their code).
    """

    option = "likelihood=bernoulli"
    support = "binary"

    def forward(self, parameters: Tensor) -> Distribution:
        return BernoulliImage(parameters.float())  # float32 also under mixed precision

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return mean_image.logit(MEAN_MARGIN)


class BernoulliImage(CachedIndependent):
    """Independent Bernoulli pixels; `logits` (..., channels, height, width)."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, 3)

    def make_base(self) -> TorchBernoulli:
        return TorchBernoulli(logits=self.logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        """Like `Independent.log_prob`, but summed before the sign is changed, which saves two passes over the pixels."""
        logits, value = self.logits, value.float()
        if logits.shape != value.shape:
            logits, value = torch.broadcast_tensors(logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none").sum((-3, -2, -1))
