"""The Variational Auto-Encoder (Kingma and Welling 2014), as an introduction tells it. Plain torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_lightning.architectures import Architecture
from vae_lightning.distributions import DiagonalNormal
from vae_lightning.likelihoods import Likelihood
from vae_lightning.noise import Noise
from vae_lightning.posteriors import Diagonal
from vae_lightning.priors import StandardNormal


class VAE(nn.Module):
    """An encoder for q_φ(z|x), a decoder for p_θ(x|z) and a prior p(z).

    Images x are float, (batch, channels, height, width), in [0, 1]; latents z are (..., batch, latent_dim), where the leading
    dimensions are samples.

        VAE(MLP(), Diagonal(20), StandardNormal(20), Bernoulli((1, 28, 28)))
    """

    def __init__(self, architecture: Architecture, posterior: Diagonal, prior: StandardNormal, likelihood: Likelihood) -> None:
        super().__init__()
        self.encoder = architecture.encoder(likelihood.shape, posterior.features)
        self.decoder = architecture.decoder(posterior.latent_dim, likelihood.out_shape)
        self.posterior, self.prior, self.likelihood = posterior, prior, likelihood
        self.latent_dim, self.shape = posterior.latent_dim, likelihood.shape

    def encode(self, x: Tensor) -> DiagonalNormal:
        """q_φ(z|x): batch_shape (batch,), event_shape (latent_dim,)."""
        return self.posterior(self.encoder(x))

    def decode(self, z: Tensor) -> Distribution:
        """p_θ(x|z): batch_shape (..., batch), event_shape (channels, height, width)."""
        parameters = self.decoder(z.reshape(-1, z.shape[-1]))
        return self.likelihood(parameters.view(*z.shape[:-1], *parameters.shape[1:]))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x|z] at the posterior's mean z = E_q[z|x], (batch, channels, height, width)."""
        return self.decode(self.encode(x).mean).mean

    @torch.no_grad()
    def sample(self, n: int, noise: Noise | None = None) -> Tensor:
        """n images E[x|z] with z ~ p(z): (n, channels, height, width), as they are usually shown (x itself is not drawn)."""
        z = self.prior().expand((n,)).rsample(noise=noise)
        return self.decode(z).mean
