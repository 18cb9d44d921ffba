"""What the bounds made of importance weights have in common."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.abilities import DENSITY
from vae_lightning.bounds import Draws
from vae_lightning.objectives.bound.base import Bound
from vae_lightning.objectives.gradient import Gradient
from vae_lightning.objectives.kl import KL


class ImportanceWeighted(Bound):
    """A function of w_i = p(x, z_i)/q(z_i|x), i = 1 … samples, alone. It has no KL term, so there is nothing for β to weigh.

    `two_bounds`: whether the encoder maximises another bound than the decoder and the prior.
    """

    needs_of_posterior = frozenset({DENSITY})
    two_bounds: ClassVar[bool] = False

    def value(self, log_w: Tensor) -> Tensor:
        """The bound, (samples, batch) → (batch,); the decoder's where there are two."""
        raise NotImplementedError

    def weights(self, log_w: Tensor, power: int = 1) -> Tensor:
        """(samples, batch): with `power` 1 the derivative of the encoder's bound by each log w_i; 2: its normalised weights w̃_i
        squared, as the doubly reparameterised gradient has them."""
        raise NotImplementedError

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        """The derivative of the decoder's bound by each log w_i."""
        return self.weights(log_w)

    def weighs_apart(self, gradient: Gradient) -> bool:
        return self.two_bounds or gradient.power != 1

    def forward(self, draws: Draws, kl: KL, beta: float | Tensor, gradient: Gradient) -> Tensor:
        value = self.value(draws.log_w)
        if draws.apart:
            log_w = draws.log_w.detach()
            weighed = draws.weighed(self.decoder_weights(log_w), self.weights(log_w, gradient.power))
            value = value.detach() + (weighed - weighed.detach())  # the bound's value with the gradient of `weighed`
        return -value.mean()
