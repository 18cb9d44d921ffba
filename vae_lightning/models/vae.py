"""The variational auto-encoder (Kingma and Welling 2014): encode, sample, decode, and the loss. Plain torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_lightning.capabilities import DENSITY, require
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import Architecture
from vae_lightning.models.architectures.layers import last_bias
from vae_lightning.models.conditions import Condition, NoCondition
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.divergence import kl_divergence
from vae_lightning.models.grids import build_networks, check_grid
from vae_lightning.models.input_checks import ROUNDING, check_input
from vae_lightning.models.likelihoods import Likelihood
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import ANY, Prior
from vae_lightning.models.standardisation import Standardisation
from vae_lightning.noise import Noise

if TYPE_CHECKING:
    from vae_lightning.models.samplers import Sampler


class VAELoss(NamedTuple):
    """What `VAE.elbo` returns: scalars, means over the batch in nats per image. `kl` is None for a plain auto-encoder."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor | None


class VAE(nn.Module):
    """An encoder for q_φ(z|x), a decoder for p_θ(x|z) and a prior p(z), each given the label c too in a conditional VAE.

    Images x are float tensors (batch, channels, height, width) in [0, 1]. Latents z are (..., batch, latent_dim); leading
    dimensions are samples. A grid of codes (`posterior.grid`) is flattened from `code_shape`, (C, h, w). Labels c are int64
    (batch,) and ignored by a VAE without a condition.

    Of real-valued data that are no images, x is (batch, 1, 1, D) in the units of the data. The networks see (x − m)/s, with the
    mean m and standard deviation s of each number, and p(x|z) is a density of x itself: log p((x − m)/s|z) − Σ log s,
    and means and samples are multiplied by s and added to m. So every number and picture is in the data's units.

    What `encode`, and so `elbo` and an `Objective`, is given is checked while `checks_input` is true; a training step never is.

    Attributes:
        checks_input: whether x is checked (its type, shape and range), which waits for a GPU.
        slack: by how much x may leave [0, 1]; None: x may be any numbers.

    Args:
        architecture: builds the encoder and decoder networks.
        posterior: turns the encoder's output into q(z|x).
        prior: p(z).
        likelihood: turns the decoder's output into p(x|z).
        condition: how a label c enters; None for an unconditional VAE.
        standardisation: of real-valued data that are no images; None for images.

    Raises:
        UserError: posterior and prior have different latent spaces, the prior needs what the posterior cannot do, or a part is
            for images only.

    Example:
        vae = VAE(MLP(), Diagonal(20), StandardNormal(20), Bernoulli((1, 28, 28)))
        vae(x).loss.backward()
    """

    def __init__(
        self,
        architecture: Architecture,
        posterior: Posterior,
        prior: Prior,
        likelihood: Likelihood,
        condition: Condition | None = None,
        standardisation: Standardisation | None = None,
    ) -> None:
        super().__init__()
        self.standardisation, self.checks_input = standardisation, True
        self.slack = None if likelihood.unbounded else ROUNDING
        if standardisation is not None:
            check_takes_any_number(likelihood, prior)
        self.condition = condition or NoCondition()
        check_grid(architecture, posterior, likelihood.shape)
        check_same_space(posterior, prior)
        require(prior, prior.needs, posterior)
        self.condition.set_up(likelihood.shape, posterior, prior)
        channels, height, width = likelihood.shape
        seen = (channels + self.condition.extra_channels, height, width)
        extra = self.condition.extra_latents
        self.encoder, self.decoder = build_networks(architecture, posterior, seen, extra, likelihood.out_shape)
        self.posterior, self.latent_prior, self.likelihood = posterior, prior, likelihood
        self.latent_dim, self.decoder_dim, self.shape = posterior.latent_dim, posterior.decoder_dim, likelihood.shape
        self._sampler: tuple[Sampler | None] = (None,)  # in a tuple, so that it is no part of the weights

    def elbo(self, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None, c: Tensor | None = None) -> VAELoss:
        """Return the loss −E_q[log p_θ(x|z)] + β·KL(q_φ(z|x) ‖ p(z)) with one draw of z; −ELBO at β = 1 (eq. 3, 7 and 10).

        Args:
            x: images, (batch, channels, height, width).
            beta: β, the weight of the KL.
            noise: where ε comes from; None for torch's global generator.
            c: labels, (batch,), of a conditional VAE.

        Returns:
            loss, reconstruction and kl, means over the batch in nats per image. A plain auto-encoder (`posterior=delta`) has no
            density and so no KL: its `kl` is None, and its loss is the reconstruction.
        """
        q = self.encode(x, c)  # (1) x → μ, σ: q(z|x) = N(μ, diag σ²)
        z = q.rsample(noise=noise)  # (2) z = μ + σ·ε, the reparameterisation trick
        p = self.decode(z, c)  # (3) z → p(x|z)
        reconstruction = -p.log_prob(x).mean()  # (4) the two terms of the ELBO
        if not self.has_density:
            return VAELoss(reconstruction, reconstruction, None)
        kl = kl_divergence(q, self.prior(c), z).mean()
        return VAELoss(reconstruction + beta * kl, reconstruction, kl)

    def forward(self, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None, c: Tensor | None = None) -> VAELoss:
        """`vae(x)` is `vae.elbo(x)`."""
        return self.elbo(x, beta, noise, c)

    def encode(self, x: Tensor, c: Tensor | None = None) -> LatentDistribution:
        """q_φ(z|x): batch_shape (batch,), event_shape (latent_dim,)."""
        return self.posterior(self.encoder(self.condition.encoder_input(self.network_input(x), c)))

    def network_input(self, x: Tensor) -> Tensor:
        """Return what the networks see of x: standardised, if it is not an image. UserError if x is checked and wrong."""
        if self.checks_input and not torch.compiler.is_compiling():
            check_input(x, self.shape, next(self.parameters()).dtype, self.slack)
        return x if self.standardisation is None else self.standardisation(x)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        """p_θ(x|z): batch_shape (..., batch), event_shape (channels, height, width)."""
        seen = z if self.decoder_dim == z.shape[-1] else z[..., : self.decoder_dim]
        inputs = self.condition.decoder_input(seen, c)
        parameters = self.decoder(inputs.reshape(-1, inputs.shape[-1]))
        p = self.likelihood(parameters.view(*z.shape[:-1], *parameters.shape[1:]))
        return p if self.standardisation is None else self.standardisation.undo(p)

    def prior(self, c: Tensor | None = None) -> LatentDistribution:
        """p(z): event_shape (latent_dim,), batch_shape () or, for a prior that depends on c, (batch,)."""
        return self.condition.prior(self.latent_prior(self.encode_unlabelled), c)

    def encode_unlabelled(self, x: Tensor) -> LatentDistribution:
        """q_φ(z|x) of images without labels, also in a conditional VAE: for the pseudo-inputs of a prior."""
        return self.posterior(self.encoder(self.condition.unlabelled_encoder_input(x)))

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(C, h, w) on a grid: `z.view(-1, *vae.code_shape)` are its maps; (latent_dim,) for a vector."""
        grid = self.posterior.grid
        return (self.latent_dim,) if grid is None else (self.latent_dim // (grid[0] * grid[1]), *grid)

    @property
    def has_density(self) -> bool:
        """Whether q(z|x) has a density. A plain auto-encoder's has none, so its KL and its ELBO are undefined."""
        return DENSITY in self.posterior.capabilities

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """E[x|z] at the posterior mean z = E_q[z|x], (batch, channels, height, width)."""
        return self.decode(self.encode(x, c).mean, c).mean

    @property
    def sampler(self) -> Sampler | None:
        """What `sample` draws z from; None for the prior."""
        return self._sampler[0]

    def use_sampler(self, sampler: Sampler | None) -> None:
        """Let `sample` draw z from a sampler that was fitted to this VAE's codes; None for the prior.

        It is neither trained nor part of `state_dict()`.
        """
        self._sampler = (sampler,)

    @torch.no_grad()
    def sample(self, n: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
        """Decode new codes: images E[x|z] with z ~ p(z), or from `sampler`; as is usual, not draws of x but the decoder's means.

        Args:
            n: number of images.
            noise: where z comes from; None for torch's global generator.
            c: labels, (n,). A conditional VAE that is given none cycles through its classes.

        Returns:
            Images, (n, channels, height, width).
        """
        labels = self.condition.labels_for(c, n, next(self.parameters()).device)
        return self.decode(self.sample_latents(n, noise, labels), labels).mean

    @torch.no_grad()
    def sample_latents(self, n: int, noise: Noise | None = None, c: Tensor | None = None) -> Tensor:
        """Draw the codes that `sample` decodes: z ~ p(z), p(z|c) or from `sampler`, (n, latent_dim).

        Args:
            n: number of codes.
            noise: where they come from; None for torch's global generator.
            c: labels, (n,), of a conditional VAE.
        """
        p = self.prior(c) if self.sampler is None else self.sampler.to(next(self.parameters()).device)(c)
        return p.rsample(() if p.batch_shape else (n,), noise)

    @torch.no_grad()
    def start_from_mean_image(self, mean_image: Tensor) -> None:
        """Set the decoder's last bias so that E[x|z] starts close to the mean training image.

        A decoder with one bias per channel starts at the mean of each channel.

        Args:
            mean_image: (channels, height, width), in [0, 1].

        Raises:
            UserError: the likelihood or the decoder has no bias that a mean image could set.
        """
        if self.standardisation is not None:
            mean_image = self.standardisation(mean_image)
        bias, (channels, height, width) = last_bias(self.decoder), self.likelihood.out_shape
        if bias is not None and len(bias) == channels:
            mean_image = mean_image.mean((1, 2), keepdim=True).expand_as(mean_image)
        output = self.likelihood.initial_parameters(mean_image)
        if bias is None or output is None or len(bias) not in (channels, channels * height * width):
            raise UserError(
                "likelihood.bias_from_data=true: the decoder does not end in a layer with a bias for each output or channel "
                "that a mean image could set; set likelihood.bias_from_data=false."
            )
        bias.copy_(output.flatten() if len(bias) == output.numel() else output[:, 0, 0])


def check_takes_any_number(likelihood: Likelihood, prior: Prior) -> None:
    """Raise UserError unless both are also for real-valued data that are no images."""
    if not likelihood.unbounded:
        raise UserError(
            f"{likelihood.option} is incompatible with real-valued data, since it is for pixels in [0, 1]: use gaussian_optimal, "
            "another Gaussian, or laplace."
        )
    if prior.of_images:
        raise UserError(f"{prior.option} is incompatible with real-valued data: its pseudo-inputs are images in [0, 1].")


def check_same_space(posterior: Posterior, prior: Prior) -> None:
    """Raise UserError unless prior and posterior share the same latent space."""
    space = posterior.space if prior.space == ANY else prior.space
    if (posterior.space, posterior.latent_dim) != (space, prior.latent_dim):
        raise UserError(
            f"{posterior.option} is incompatible with {prior.option}: its latents are {posterior.latent_dim} numbers "
            f"({posterior.space}), and the prior's {prior.latent_dim} ({space})."
        )
