"""What every bound says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.bounds import Draws
from vae_lightning.errors import check_int
from vae_lightning.objectives.gradient import Gradient
from vae_lightning.objectives.kl import KL
from vae_lightning.objectives.part import Part


class Bound(Part):
    """−bound, a scalar to be minimised. `samples`: draws of z per image; `has_kl_term`: whether β and `kl` act on it."""

    has_kl_term: ClassVar[bool] = False

    def __init__(self, samples: int = 1) -> None:
        super().__init__()
        self.samples = check_int("samples", samples)

    def forward(self, draws: Draws, kl: KL, beta: float | Tensor, gradient: Gradient) -> Tensor:
        """Mean over the batch, nats per image. Without a KL term of its own, `kl` and `beta` are passed over."""
        raise NotImplementedError

    def weighs_apart(self, gradient: Gradient) -> bool:
        """Whether encoder and decoder get weights of their own (`Draws.weighed`)."""
        return False

    def report(self, loss: Tensor) -> dict[str, Tensor]:
        """`bound`: the k-sample bound that is trained."""
        return {"bound": -loss}
