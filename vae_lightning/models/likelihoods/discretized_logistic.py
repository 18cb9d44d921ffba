"""`likelihood=discretized_logistic`: 8-bit pixels, each a logistic variable rounded to one of 256 levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from vae_lightning.errors import check_number
from vae_lightning.models.likelihoods.base import Likelihood
from vae_lightning.models.likelihoods.scale import floored_log, inverse_floored_log

START_SCALE = 0.1  # initial s with `bias_from_data`


class DiscretizedLogistic(Likelihood):
    """P(x = k/255 | z) = F((k + ½)/255) − F((k − ½)/255), F(t) = sigmoid((t − μ)/s); levels 0 and 255 include the tails.

    (Salimans et al. 2017, eq. 2, with one component and independent channels.)
    (μ, log s) = decoder(z): 2·channels channels, μ first. Log-probabilities of the 256 levels in nats per image, at most 0; x
    is k/255, and values in between are rounded to the nearest level. min_scale: lower limit of s, in units of the range [0, 1]
    (Salimans et al. use e⁻⁷ of a range of 2, which is 0.00046 here).
    bias_from_data: start the decoder's last bias at μ = the mean training image, with s = 0.1.
    """

    option = "likelihood=discretized_logistic"
    support = "real"
    discrete_levels = 256

    def __init__(self, shape: tuple[int, int, int], min_scale: float = 0.0005, bias_from_data: bool = False) -> None:
        super().__init__(shape, bias_from_data)
        self.min_scale = check_number("min_scale", min_scale, 0, START_SCALE / 2, above=True)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.shape
        return 2 * channels, height, width

    def forward(self, parameters: Tensor) -> Distribution:
        mean, raw = parameters.float().chunk(2, -3)
        log_scale = floored_log(raw, self.min_scale)
        return Independent(DiscretizedLogisticPixel(mean, log_scale, self.discrete_levels), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        return torch.cat([mean_image, torch.full_like(mean_image, inverse_floored_log(START_SCALE, self.min_scale))])


class DiscretizedLogisticPixel(Distribution):
    """x = clip(round((levels − 1)·y))/(levels − 1) for a logistic y with location `loc` and scale e^`log_scale`."""

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = False

    def __init__(self, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        super().__init__(loc.shape, validate_args=False)
        self.loc, self.log_scale, self.top = loc, log_scale, levels - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """With a, b the standardised edges of the bin: sigmoid(a) − sigmoid(b) = sigmoid(a) · sigmoid(−b) · (1 − e^(b − a)).

        Nothing cancels in the product, however narrow the bin or far the level.
        """
        level = (value * self.top).round()
        rate = (-self.log_scale).exp()
        upper, lower = ((level + half) / self.top - self.loc for half in (0.5, -0.5))
        below, above = F.logsigmoid(upper * rate), F.logsigmoid(-lower * rate)
        inside = below + above + torch.log(-torch.expm1(-rate / self.top))
        return torch.where(level <= 0, below, torch.where(level >= self.top, above, inside))

    @property
    def mean(self) -> Tensor:
        """E[x] = 1/(levels − 1) Σ_k P(x ≥ k), summed one level at a time to save memory."""
        rate = (-self.log_scale).exp()
        total = torch.zeros_like(self.loc)
        for k in range(1, self.top + 1):
            total += torch.sigmoid((self.loc - (k - 0.5) / self.top) * rate)
        return total / self.top

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        u = torch.rand(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        y = self.loc + self.log_scale.exp() * u.logit(torch.finfo(u.dtype).tiny)
        return (y * self.top).round().clamp(0, self.top) / self.top
