"""`likelihood=categorical`: 8-bit pixels, with a probability for each of 256 levels."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vae_lightning.errors import check_int
from vae_lightning.models.likelihoods.base import Likelihood

NUMBERS_AT_ONCE = 2**26  # logits in memory: 256 MiB


class CategoricalLikelihood(Likelihood):
    """P(x_i = k/255 | z) = softmax_k(A h_i + b), h = decoder(z) (van den Oord et al. 2016, section 2.2).

    The decoder gives `features` numbers h_i per pixel. A 1×1 convolution, shared by all pixels and part of the likelihood, maps
    them to the 256 logits of each channel; logits straight from the decoder would make an MLP's last layer 256 times as large.
    Log-probabilities of the 256 levels in nats per image, at most 0; x is k/255, and values in between are rounded to the
    nearest level. The order of the levels is not built in; it has to be learned.
    """

    option = "likelihood=categorical"
    support = "real"
    discrete_levels = 256

    def __init__(self, shape: tuple[int, int, int], features: int = 16) -> None:
        super().__init__(shape)
        self.features = check_int("features", features)
        self.to_logits = nn.Conv2d(features, self.discrete_levels * shape[0], 1)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        return self.features, *self.shape[1:]

    def forward(self, parameters: Tensor) -> Distribution:
        return CategoricalImage(parameters, self.to_logits, self.shape, self.discrete_levels)


class CategoricalImage(Distribution):
    """Pixels with `levels` values, independent given their `features` (..., features, height, width).

    Logits are computed on use, `NUMBERS_AT_ONCE` at a time, so that hundreds of samples can be evaluated without gradients.
    """

    arg_constraints = {"features": constraints.independent(constraints.real, 3)}  # noqa: RUF012
    support = constraints.independent(constraints.unit_interval, 3)
    has_rsample = False

    def __init__(self, features: Tensor, to_logits: nn.Module, shape: tuple[int, int, int], levels: int) -> None:
        super().__init__(features.shape[:-3], torch.Size(shape), validate_args=False)
        self.features, self.to_logits, self.levels = features, to_logits, levels

    def log_prob(self, value: Tensor) -> Tensor:
        level = (value * (self.levels - 1)).round().long()
        shape = torch.broadcast_shapes(self.batch_shape, level.shape[:-3])
        level = level.expand(*shape, *self.event_shape).reshape(-1, *self.event_shape)
        nll = self._map(lambda logits, k: F.cross_entropy(logits, k, reduction="none").flatten(1).sum(1), shape, level)
        return -nll.view(shape)

    @property
    def mean(self) -> Tensor:
        values = torch.linspace(0, 1, self.levels, device=self.features.device).view(-1, 1, 1, 1)
        means = self._map(lambda logits: (logits.softmax(1) * values).sum(1), self.batch_shape)
        return means.view(*self.batch_shape, *self.event_shape)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        def draw(logits: Tensor) -> Tensor:
            probabilities = logits.softmax(1).movedim(1, -1)
            drawn = probabilities.flatten(0, -2).multinomial(prod(sample_shape), replacement=True)
            return drawn.view(*probabilities.shape[:-1], -1)

        drawn = self._map(draw, self.batch_shape).movedim(-1, 0)
        return drawn.reshape(*sample_shape, *self.batch_shape, *self.event_shape) / (self.levels - 1)

    def _map(self, function: Callable[..., Tensor], shape: torch.Size, *others: Tensor) -> Tensor:
        """Apply `function` to the float32 logits (n, levels, channels, height, width), n images at a time."""
        features = self.features.expand(*shape, *self.features.shape[-3:]).reshape(-1, *self.features.shape[-3:])
        at_once = max(1, NUMBERS_AT_ONCE // (self.levels * prod(self.event_shape)))
        parts = zip(*(tensor.split(at_once) for tensor in (features, *others)), strict=True)
        return torch.cat([function(self._logits(part), *rest) for part, *rest in parts])

    def _logits(self, features: Tensor) -> Tensor:
        logits = self.to_logits(features).float()  # float32 also under mixed precision
        return logits.view(len(features), self.levels, *self.event_shape)
