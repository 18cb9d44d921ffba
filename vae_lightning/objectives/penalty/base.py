"""The base class of penalties."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_lightning.noise import Noise
from vae_lightning.objectives.base import ObjectiveTerm
from vae_lightning.objectives.terms import ELBOTerms


class Penalty(ObjectiveTerm):
    """A term added to the loss.

    Attributes:
        weighted_by_beta: whether β weights the penalty instead of the KL.
        matches_prior: whether it pulls the codes of all images together towards the prior.
    """

    weighted_by_beta: ClassVar[bool] = False
    matches_prior: ClassVar[bool] = False

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        """Return the penalty of a batch.

        Args:
            terms: the densities and draws of the batch.
            beta: β, or 1 if β weights the KL.
            noise: where random numbers come from; None for torch's global generator.

        Returns:
            The scalar to add to the loss, and the values to log by name; means over the batch in nats per image.
        """
        raise NotImplementedError
