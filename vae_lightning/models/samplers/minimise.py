"""Fitting a sampler that is a network: minibatches of codes, Adam, and a learning rate that falls to 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_lightning.errors import RunError, check_int, check_number
from vae_lightning.noise import Noise, StreamNoise, derive_seed

MOST_STEPS, MOST_IN_A_BATCH = 10_000_000, 1_000_000


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted.

    Args:
        steps: optimizer steps.
        batch_size: codes in a step.
        lr: learning rate of the first step; it falls to 0 along half a cosine.
    """

    steps: int
    batch_size: int
    lr: float

    def __post_init__(self) -> None:
        check_int("steps", self.steps, 1, MOST_STEPS)
        check_int("batch_size", self.batch_size, 1, MOST_IN_A_BATCH)
        check_number("lr", self.lr, 0, above=True)

    def minimise(self, network: nn.Module, loss: Callable[[Tensor, Noise], Tensor], codes: Tensor, seed: int) -> None:
        """Minimise the mean of `loss(batch, noise)` over minibatches of `codes`.

        Args:
            network: its parameters are fitted.
            loss: codes (batch, latent_dim) and noise → a scalar.
            codes: (N, latent_dim), float32.
            seed: seed of batches and noise.

        Raises:
            RunError: the loss is not finite.
        """
        order, noise = torch.Generator().manual_seed(seed), StreamNoise(torch.Generator(), derive_seed(seed, "noise"))
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                batch = codes[torch.randint(len(codes), (min(self.batch_size, len(codes)),), generator=order)]
                value = loss(batch, noise)
                optimizer.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimizer.step()
                schedule.step()
        if not bool(torch.isfinite(value)):
            raise RunError(f"A sampler's fit diverged (its loss is {value.item()}): choose a smaller sampler.lr.")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, from which layers draw their first weights, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
