"""Gradients of an objective on the linear-Gaussian VAE, parameter by parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.priors.base import Encode
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise, StreamNoise
from vae_lightning.objectives import Objective


class LearnedNormal(StandardNormal):
    """A prior with a parameter of its own."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.shift = nn.Parameter(torch.full((latent_dim,), 0.1))

    def forward(self, encode: Encode | None = None) -> DiagonalNormal:
        return DiagonalNormal(self.mean + self.shift, self.scale)


def stream(seed: int = 0) -> Noise:
    return StreamNoise(torch.Generator(), seed)


def gradient(objective: Objective, vae: VAE, x: Tensor, seed: int = 0, beta: float = 1.0) -> dict[str, Tensor]:
    """The gradients of the loss by parameter name, without parameters that the loss does not depend on."""
    vae.zero_grad()
    objective(vae, x, beta, stream(seed))["loss"].backward()
    return {name: p.grad.clone() for name, p in vae.named_parameters() if p.grad is not None}


def many_gradients(objective: Objective, vae: VAE, x: Tensor, repeats: int) -> Tensor:
    """Gradients, (repeats, parameters), each with its own noise."""
    rows = [torch.cat([g.flatten() for g in gradient(objective, vae, x, seed).values()]) for seed in range(repeats)]
    return torch.stack(rows).double()


def standard_errors_apart(a: Tensor, b: Tensor) -> Tensor:
    """|mean a − mean b| in standard errors of the difference, one number for each parameter."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    return (a.mean(0) - b.mean(0)).abs() / error
