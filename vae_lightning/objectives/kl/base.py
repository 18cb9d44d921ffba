"""What every form of the KL says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.bounds import Draws
from vae_lightning.objectives.part import Part


class KL(Part):
    """The term that a bound adds for KL(q(z|x) ‖ p(z)).

    `reweighs`: whether it is another than β·KL; `takes_beta`: whether β weighs it; `by_formula`: whether it takes the KL by its
    formula whatever the gradient estimator.
    """

    reweighs: ClassVar[bool] = True
    takes_beta: ClassVar[bool] = True
    by_formula: bool = False

    def forward(self, draws: Draws, beta: float | Tensor) -> float | Tensor:
        """A scalar, mean over the batch in nats per image."""
        raise NotImplementedError

    def report(self) -> dict[str, Tensor]:
        """What is written beside `kl`, by name."""
        return {}
