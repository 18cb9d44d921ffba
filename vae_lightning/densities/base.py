"""What these distributions share."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.distributions import Distribution


class Latent(Distribution):
    """A distribution over vectors of `latent_dim` numbers; see `vae_lightning.distributions.LatentDistribution`."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, batch_shape: Any, latent_dim: int) -> None:
        super().__init__(torch.Size(batch_shape), torch.Size([latent_dim]), validate_args=False)
