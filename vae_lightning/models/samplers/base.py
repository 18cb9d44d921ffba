"""The base class of samplers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import RunError, check_int, check_int_or_null
from vae_lightning.models.distributions.affine import shift_and_scale
from vae_lightning.models.distributions.base import LatentDistribution

MOST_CODES = 10_000_000
NEGLIGIBLE = 1e-6  # of the largest standard deviation: a dimension below it is constant, as those that an encoder does not use


class Sampler(nn.Module):
    """A density over codes, fitted to those of training images after the training: z ~ q(z) = E_x[q(z|x)], approximately.

    A subclass sets `option`, fits in `fit_standardised` and returns its density from `standardised`. Both see codes
    standardised to mean 0 and standard deviation 1 in each dimension, so that settings do not depend on the codes' scale. What
    is fitted are its parameters and buffers, which the run keeps as tensors. docs/extending.md has an example.

    Attributes:
        option: its name on the command line, such as `sampler=gmm`.
        needs: what it requires of the posterior (see `vae_lightning.capabilities`).
        is_fitted: whether it is fitted to codes; the prior is not.
        images: how many training images, evenly spaced, it is fitted to; None for all.
        latent_dim: how many numbers z has.

    Args:
        latent_dim: how many numbers z has.
        images: see above.
    """

    option: ClassVar[str]
    needs: ClassVar[AbstractSet[str]] = frozenset({REAL_SPACE})
    is_fitted: ClassVar[bool] = True
    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int, images: int | None = None) -> None:
        super().__init__()
        self.latent_dim, self.images = check_int("latent_dim", latent_dim), images
        check_int_or_null("images", images, 1, MOST_CODES)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    @property
    def name(self) -> str:
        """Its option without the group, such as `gmm`."""
        return self.option.rpartition("=")[2]

    def fit(self, codes: Tensor, seed: int, labels: Tensor | None = None) -> str:
        """Fit to codes; the same codes and seed give the same sampler.

        Args:
            codes: z ~ q(z|x) of training images, (N, latent_dim).
            seed: seed of all random numbers.
            labels: classes of the images, (N,), for a sampler per class.

        Returns:
            What was found, in words.

        Raises:
            RunError: the codes are not finite, or the fit diverged.
        """
        check_codes(codes)
        values = codes.detach().double().cpu()
        mean, scale = values.mean(0), values.std(0, correction=0)
        scale = torch.where(scale > NEGLIGIBLE * scale.max(), scale, 1.0)
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        return self.fit_standardised((values - mean) / scale, seed)

    def fit_standardised(self, codes: Tensor, seed: int) -> str:
        """Fit to standardised codes, (N, latent_dim), float64 on the CPU; see `fit`."""
        raise NotImplementedError

    def forward(self, c: Tensor | None = None) -> LatentDistribution:
        """Return the density of z: batch_shape (), or (batch,) for a sampler per class, given labels c, (batch,)."""
        return shift_and_scale(self.standardised(), self.mean, self.scale)

    def standardised(self) -> LatentDistribution:
        """Return the density of standardised codes, batch_shape ()."""
        raise NotImplementedError

    def make_room(self, tensors: Mapping[str, Any]) -> None:
        """Give buffers whose size depends on the codes the sizes of the `tensors` that are about to be loaded.

        Args:
            tensors: from a file, so anything; what does not fit is refused afterwards.
        """


def check_codes(codes: Tensor) -> None:
    """Raise RunError unless there are codes, and all are finite."""
    if not len(codes) or not bool(torch.isfinite(codes).all()):
        raise RunError("A sampler cannot be fitted: the codes of the training images are not finite numbers.")


def rows_of(value: object, most: int) -> int | None:
    """Return the length of a tensor that has between 1 and `most` rows; None for anything else."""
    return len(value) if isinstance(value, Tensor) and value.dim() > 0 and 1 <= len(value) <= most else None
