"""`objective/bound=piwae`: one bound for the encoder and a tighter one for the decoder (Rainforth et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.bounds import iwae
from vae_lightning.objectives.bound.miwae import MIWAE


class PIWAE(MIWAE):
    """The encoder maximises MIWAE with M = `groups`; decoder and prior IWAE with all draws (Rainforth et al. 2018).

    Its value is the decoder's bound. In one backward pass: see `Draws.weighed`. Under 16-bit floating point with a small
    exponent (trainer.precision=16-mixed) draws whose weight in the decoder's bound is below about 1e-4 are lost to the encoder.
    """

    option = "objective/bound=piwae"
    two_bounds = True

    def decoder_weights(self, log_w: Tensor) -> Tensor:
        return log_w.softmax(0)

    def value(self, log_w: Tensor) -> Tensor:
        return iwae(log_w)
