"""The Variational Auto-Encoder (Kingma and Welling 2014), as an introduction tells it. Plain torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_lightning.capabilities import require
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import Architecture
from vae_lightning.models.architectures.layers import last_bias
from vae_lightning.models.conditions import Condition, NoCondition
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.likelihoods import Likelihood
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import ANY, Prior
from vae_lightning.noise import Noise


class VAE(nn.Module):
    """An encoder for q_φ(z|x), a decoder for p_θ(x|z) and a prior p(z); each given c too, where there is a condition.

    Images x are float, (batch, channels, height, width), in [0, 1]; latents z are (..., batch, latent_dim), where the leading
    dimensions are samples; labels c are int64, (batch,), and passed over without a condition.

        VAE(MLP(), Diagonal(20), StandardNormal(20), Bernoulli((1, 28, 28)))

    UserError where posterior and prior do not live in the same space, or the posterior cannot do what the prior needs.
    """

    def __init__(
        self,
        architecture: Architecture,
        posterior: Posterior,
        prior: Prior,
        likelihood: Likelihood,
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        self.condition = condition or NoCondition()
        check_same_space(posterior, prior)
        require(prior, prior.needs, posterior)
        self.condition.begin(likelihood.shape, posterior, prior)
        channels, height, width = likelihood.shape
        self.encoder = architecture.encoder((channels + self.condition.channels, height, width), posterior.features)
        self.decoder = architecture.decoder(posterior.decoded + self.condition.latents, likelihood.out_shape)
        self.posterior, self.latent_prior, self.likelihood = posterior, prior, likelihood
        self.latent_dim, self.decoded, self.shape = posterior.latent_dim, posterior.decoded, likelihood.shape

    def encode(self, x: Tensor, c: Tensor | None = None) -> LatentDistribution:
        """q_φ(z|x): batch_shape (batch,), event_shape (latent_dim,)."""
        return self.posterior(self.encoder(self.condition.image(x, c)))

    def decode(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        """p_θ(x|z): batch_shape (..., batch), event_shape (channels, height, width)."""
        seen = z if self.decoded == z.shape[-1] else z[..., : self.decoded]
        inputs = self.condition.latent(seen, c)
        parameters = self.decoder(inputs.reshape(-1, inputs.shape[-1]))
        return self.likelihood(parameters.view(*z.shape[:-1], *parameters.shape[1:]))

    def prior(self, c: Tensor | None = None) -> LatentDistribution:
        """p(z): event_shape (latent_dim,), batch_shape () or, where it depends on c, (batch,)."""
        return self.condition.prior(self.latent_prior(self.encode_unlabelled), c)

    def encode_unlabelled(self, x: Tensor) -> LatentDistribution:
        """q_φ(z|x) of images that have no labels even where there is a condition: a prior's pseudo-inputs."""
        return self.posterior(self.encoder(self.condition.unlabelled(x)))

    @torch.no_grad()
    def start_at(self, mean_image: Tensor) -> None:
        """Sets the decoder's last bias so that E[x|z] begins about `mean_image` (channels, height, width), in [0, 1].

        Where there is one bias per channel, from the channel's mean. UserError where likelihood or decoder have no such thing.
        """
        bias, (channels, height, width) = last_bias(self.decoder), self.likelihood.out_shape
        if bias is not None and len(bias) == channels:
            mean_image = mean_image.mean((1, 2), keepdim=True).expand_as(mean_image)
        output = self.likelihood.initial_parameters(mean_image)
        if bias is None or output is None or len(bias) not in (channels, channels * height * width):
            raise UserError(
                "likelihood.bias_from_data=true: the decoder does not end in a layer with a bias for each output or channel "
                "that a mean image could set; leave it out."
            )
        bias.copy_(output.flatten() if len(bias) == output.numel() else output[:, 0, 0])

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """E[x|z] at the posterior's mean z = E_q[z|x], (batch, channels, height, width)."""
        return self.decode(self.encode(x, c).mean, c).mean

    @torch.no_grad()
    def sample(self, n: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
        """n images E[x|z] with z ~ p(z): (n, channels, height, width), as they are usually shown (x itself is not drawn).

        Where there is a condition and no c, its classes in turn.
        """
        given = self.condition.given(c, n, next(self.parameters()).device)
        p = self.prior(given)
        return self.decode(p.rsample(() if p.batch_shape else (n,), noise), given).mean


def check_same_space(posterior: Posterior, prior: Prior) -> None:
    """A prior has no density where the posterior draws, unless both live in the same space."""
    space = posterior.space if prior.space == ANY else prior.space
    if (posterior.space, posterior.latent_dim) != (space, prior.latent_dim):
        raise UserError(
            f"{posterior.option} does not go with {prior.option}: its latents are {posterior.latent_dim} numbers "
            f"({posterior.space}), and the prior's {prior.latent_dim} ({space})."
        )
