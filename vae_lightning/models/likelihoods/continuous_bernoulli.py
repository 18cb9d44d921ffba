"""`likelihood=continuous_bernoulli`: grey pixels; the Bernoulli formula with the normaliser that it lacks there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from vae_lightning.models.likelihoods.base import Likelihood

MEAN_MARGIN = 0.01  # keeps means away from 0 and 1, which need an infinite parameter
SMALL = 0.5  # below this, the series are used


class ContinuousBernoulli(Likelihood):
    """log p(x|z) = Σ_i log C(λ_i) + x_i log λ_i + (1 − x_i) log(1 − λ_i) with λ = sigmoid(decoder(z)).

    (Loaiza-Ganem and Cunningham 2019.) A density on [0, 1] in nats per image, which may exceed 0. E[x|z] is not λ, but
    ½ + ½ (coth(η/2) − 2/η) with η = logit λ.
    bias_from_data: start the decoder's last bias where E[x|z] is the mean training image, clipped to [0.01, 0.99].
    """

    option = "likelihood=continuous_bernoulli"
    support = "real"

    def forward(self, parameters: Tensor) -> Distribution:
        return Independent(ContinuousBernoulliPixel(parameters.float()), 3, validate_args=False)

    def initial_parameters(self, mean_image: Tensor) -> Tensor:
        """Found by bisection: E[x] grows with η and is within 1/|η| of 0 or 1."""
        mean = mean_image.double().clamp(MEAN_MARGIN, 1 - MEAN_MARGIN)
        high = torch.full_like(mean, 2 / MEAN_MARGIN)
        low = -high
        for _ in range(60):
            middle = (low + high) / 2
            below = ContinuousBernoulliPixel(middle).mean < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return middle.to(mean_image.dtype)


class ContinuousBernoulliPixel(Distribution):
    """p(x) = e^(η(x − ½)) · (η/2)/sinh(η/2) on [0, 1], with `logits` η: the continuous Bernoulli in its natural parameter.

    torch's own is wrong for |η| > 10, where it clamps λ: at η = 100 its log density is too low by 1.8 nats per pixel.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape, validate_args=False)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * (value - 0.5) - log_sinhc(self.logits / 2)

    @property
    def mean(self) -> Tensor:
        t = self.logits / 2
        series = t / 3 - t**3 / 45 + 2 * t**5 / 945 - t**7 / 4725 + 2 * t**9 / 93555
        large = torch.where(t.abs() < SMALL, torch.ones_like(t), t)
        return 0.5 + 0.5 * torch.where(t.abs() < SMALL, series, 1 / large.tanh() - 1 / large)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Invert F(x) = (e^(ηx) − 1)/(e^η − 1) at −|η|, where nothing overflows, and mirror the result."""
        u = torch.rand(*sample_shape, *self.logits.shape, dtype=self.logits.dtype, device=self.logits.device)
        negative = -self.logits.abs().clamp_min(1e-6)
        x = torch.log1p(u * torch.expm1(negative)) / negative
        return torch.where(self.logits > 0, 1 - x, x)


def log_sinhc(t: Tensor) -> Tensor:
    """log(sinh t / t): by its series near 0, else as |t| + log(1 − e^(−2|t|)) − log 2|t|, which never overflows."""
    t = t.abs()
    small, s = t < SMALL, t.square()
    series = s / 6 - s**2 / 180 + s**3 / 2835 - s**4 / 37800 + s**5 / 467775
    large = torch.where(small, torch.ones_like(t), t)  # keeps the gradient of the unused branch finite
    return torch.where(small, series, large + torch.log(-torch.expm1(-2 * large)) - torch.log(2 * large))
