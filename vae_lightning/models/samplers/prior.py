"""`sampler=prior`: codes are drawn from the model's own prior."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.models.samplers.base import Sampler


class PriorSampler(Sampler):
    """z ~ p(z), or p(z|c) in a conditional VAE: nothing is fitted."""

    option = "sampler=prior"
    needs = frozenset()
    is_fitted = False

    def __init__(self) -> None:
        super().__init__(latent_dim=1)

    def fit(self, codes: Tensor, seed: int, labels: Tensor | None = None) -> str:
        """Do nothing."""
        return "the model's own"
