"""`sampler=flow`: a normalizing flow fitted to the codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.priors.flow import NormalizingFlow
from vae_lightning.models.samplers.base import Sampler
from vae_lightning.models.samplers.minimise import Fitting, seeded


class FlowSampler(Sampler):
    """log q(z) = log N(f(z); 0, I) + log|det ∂f/∂z|, with f fitted by maximum likelihood; f is a flow of the library zuko.

    Args:
        latent_dim: how many numbers z has.
        kind: "autoregressive", "coupling" or "spline", as in `prior=flow`.
        transforms: number of steps of f.
        hidden: widths of the masked network of each step.
        steps: optimizer steps of the fit.
        batch_size: codes in a step.
        lr: learning rate of the first step; it falls to 0 along half a cosine.
        images: how many training images, evenly spaced, it is fitted to; None for all.
    """

    option = "sampler=flow"

    def __init__(
        self,
        latent_dim: int,
        kind: str = "autoregressive",
        transforms: int = 3,
        hidden: Sequence[int] = (128, 128),
        steps: int = 2000,
        batch_size: int = 256,
        lr: float = 0.002,
        images: int | None = None,
    ) -> None:
        super().__init__(latent_dim, images)
        self.fitting = Fitting(steps, batch_size, lr)
        self.make_flow = lambda: NormalizingFlow(latent_dim, kind, transforms, tuple(hidden))
        with seeded(0):
            self.flow = self.make_flow()

    def fit_standardised(self, codes: Tensor, seed: int) -> str:
        with seeded(seed):
            self.flow = self.make_flow()
        values = codes.float()
        self.fitting.minimise(self.flow, lambda batch, noise: -self.flow().log_prob(batch).mean(), values, seed)
        self.requires_grad_(False)
        with torch.no_grad():
            parts = [self().log_prob(self.mean + self.scale * part) for part in values.split(1000)]
        return f"log q(z) = {float(torch.cat(parts).mean()):.2f} nats, {self.fitting.steps:,} steps"

    def standardised(self) -> LatentDistribution:
        return self.flow()
