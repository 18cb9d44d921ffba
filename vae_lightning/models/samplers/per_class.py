"""A sampler for each class of a conditional VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_lightning.models.distributions.base import LatentBase, LatentDistribution
from vae_lightning.models.samplers.base import Sampler
from vae_lightning.noise import Noise, derive_seed


class PerClass(Sampler):
    """q(z|c) for each class c: a sampler of the same kind and settings for each, fitted to the codes of that class.

    A class without images gets what is fitted to the codes of all.

    Args:
        make: makes a sampler.
        classes: number of classes.
    """

    def __init__(self, make: Callable[[], Sampler], classes: int) -> None:
        samplers = [make() for _ in range(classes)]
        super().__init__(samplers[0].latent_dim, samplers[0].images)
        self.option, self.needs, self.is_fitted = samplers[0].option, samplers[0].needs, samplers[0].is_fitted  # type: ignore[misc]
        self.samplers = nn.ModuleList(samplers)

    def fit(self, codes: Tensor, seed: int, labels: Tensor | None = None) -> str:
        if labels is None:
            raise ValueError("A sampler per class is fitted to codes with labels.")
        for c, sampler in enumerate(self.samplers):
            mine = codes[labels == c]
            sampler.fit(mine if len(mine) else codes, derive_seed(seed, "class", c))  # type: ignore[operator]  # a Sampler
        return f"one for each of {len(self.samplers)} classes"

    def forward(self, c: Tensor | None = None) -> LatentDistribution:
        if c is None:
            raise ValueError("A sampler per class needs the labels.")
        return OfClass([sampler() for sampler in self.samplers], c)

    def make_room(self, tensors: Mapping[str, Any]) -> None:
        for place, sampler in enumerate(self.samplers):
            start = f"samplers.{place}."
            mine = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
            sampler.make_room(mine)  # type: ignore[operator]  # a Sampler


class OfClass(LatentBase):
    """z_i ~ q(z|c_i), batch_shape (batch,).

    All classes are drawn for each row, and the row's own is kept: so a draw depends only on its own noise, not on the classes of
    the other rows.

    Args:
        parts: the density of each class, batch_shape ().
        c: classes, (batch,).
    """

    def __init__(self, parts: Sequence[LatentDistribution], c: Tensor) -> None:
        super().__init__(c.shape, parts[0].event_shape[0])
        self.parts, self.c = parts, c

    @property
    def mean(self) -> Tensor:
        return torch.stack([part.mean for part in self.parts])[self.c]

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        drawn = torch.stack([part.rsample((*sample_shape, *self.batch_shape), noise) for part in self.parts], -2)
        index = self.c.view(-1, 1, 1).expand(*drawn.shape[:-2], 1, drawn.shape[-1])
        return drawn.gather(-2, index).squeeze(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        every = torch.stack([part.log_prob(z) for part in self.parts], -1)
        return every.gather(-1, self.c.unsqueeze(-1).expand(*every.shape[:-1], 1)).squeeze(-1)

    def detached(self) -> OfClass:
        return OfClass([part.detached() for part in self.parts], self.c)
