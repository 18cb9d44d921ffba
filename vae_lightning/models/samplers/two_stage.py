"""`sampler=two_stage`: a second VAE, of the codes (Dai and Wipf 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vae_lightning.errors import InvalidValue, check_ints
from vae_lightning.models.architectures import MLP
from vae_lightning.models.distributions.base import LatentBase, LatentDistribution
from vae_lightning.models.likelihoods import GaussianLearned
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.samplers.base import Sampler
from vae_lightning.models.samplers.minimise import Fitting, seeded
from vae_lightning.models.vae import VAE
from vae_lightning.noise import GlobalNoise, Noise

WIDEST = 4096  # the most units of a layer


class TwoStageSampler(Sampler):
    """z ~ p(z|u) = N(m(u), γ²I) with u ~ N(0, I): a second VAE, trained on codes z ~ q(z|x) (Dai and Wipf 2019, section 4).

    u has as many numbers as z, and γ is learned. The codes of the first VAE fill the whole of the latent space, since q(z|x) has
    noise in every dimension; so the second VAE can bring q(u) close to N(0, I), though the first one could not.

    Args:
        latent_dim: how many numbers z has.
        hidden: widths of the second encoder's layers; its decoder has them in reverse.
        steps: optimizer steps of the fit.
        batch_size: codes in a step.
        lr: learning rate of the first step; it falls to 0 along half a cosine.
        images: how many training images, evenly spaced, it is fitted to; None for all.
    """

    option = "sampler=two_stage"

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int] = (256, 256),
        steps: int = 4000,
        batch_size: int = 256,
        lr: float = 0.001,
        images: int | None = None,
    ) -> None:
        super().__init__(latent_dim, images)
        self.hidden, self.fitting = check_ints("hidden", hidden), Fitting(steps, batch_size, lr)
        if max(self.hidden) > WIDEST:
            raise InvalidValue("hidden", list(self.hidden), f"a list of integers of at least 1 and at most {WIDEST}")
        with seeded(0):
            self.second = self.make_vae()

    def make_vae(self) -> VAE:
        """Return the second VAE, whose images are rows of `latent_dim` numbers."""
        d = self.latent_dim
        vae = VAE(MLP(self.hidden), Diagonal(d), StandardNormal(d), GaussianLearned((1, 1, d), sigma=1.0))
        vae.checks_input = False
        return vae

    def fit_standardised(self, codes: Tensor, seed: int) -> str:
        with seeded(seed):
            self.second = self.make_vae()
        rows = codes.float().view(len(codes), 1, 1, -1)
        self.fitting.minimise(self.second, lambda batch, noise: self.second.elbo(batch, noise=noise).loss, rows, seed)
        self.requires_grad_(False)
        sigma = float(self.second.likelihood.sigma)  # type: ignore[arg-type]  # of GaussianLearned
        return f"γ = {sigma:.3f} of the codes' scale, {self.fitting.steps:,} steps"

    def standardised(self) -> LatentDistribution:
        return SecondStage(self.second)


class SecondStage(LatentBase):
    """z = m(u) + γ·ε with u, ε ~ N(0, I); its density is an integral over u without a formula.

    Args:
        vae: the second VAE, whose decoder gives N(m(u), γ²I).
    """

    def __init__(self, vae: VAE) -> None:
        super().__init__((), vae.latent_dim)
        self.vae = vae

    @property
    def mean(self) -> Tensor:
        """The image m(0) of u's mean: a typical z, since E[z] has no formula."""
        return self.vae.decode(self.vae.prior().mean).mean.flatten()

    def rsample(self, sample_shape: Sequence[int] = (), noise: Noise | None = None) -> Tensor:
        noise = noise or GlobalNoise()
        p = self.vae.decode(self.vae.prior().rsample(tuple(sample_shape), noise))
        centre = p.mean.flatten(-3)
        return centre + p.stddev.flatten(-3) * noise.normal(self.vae.prior().mean, tuple(sample_shape))

    def detached(self) -> SecondStage:
        return self
