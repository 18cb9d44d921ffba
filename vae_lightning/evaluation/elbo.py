"""The ELBO and the KL of each latent dimension over a whole split, with noise keyed by example."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.data.images import Batch, pixels
from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, derive_seed
from vae_lightning.objectives.terms import elbo_terms

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, section 4.1


def evaluation_noise(batch: Batch, split: str, purpose: str = "elbo") -> ExampleNoise:
    """Return noise that is the same for every run, whatever its seed, so that runs can be compared.

    Args:
        batch: the images.
        split: the name of their split.
        purpose: what the noise is for.
    """
    return ExampleNoise(batch.examples, derive_seed("evaluation", purpose, split))


@dataclass
class SplitSums:
    """Float64 sums over the images of a split, which can be added up over batches and processes.

    Layout of `sums`: [images, reconstruction, kl, kl of each dimension, posterior mean of each dimension, its square].

    Args:
        latent_dim: number of latent dimensions.
        split: the name of the split, which seeds the noise.
        factorised: whether the KL is a sum over dimensions; set by `add`.
        has_kl: whether q has a density; set by `add`.
        has_units: whether active units can be counted; set by `add`.
    """

    latent_dim: int
    split: str
    factorised: bool = True
    has_kl: bool = True
    has_units: bool = True

    def __post_init__(self) -> None:
        self.sums = torch.zeros(3 + 3 * self.latent_dim, dtype=torch.float64)

    @torch.no_grad()
    def add(self, vae: VAE, batch: Batch) -> None:
        """Add a batch, in float32 even if training uses mixed precision, so that every run is measured in the same way."""
        with torch.autocast(batch.images.device.type, enabled=False):
            terms = elbo_terms(vae, pixels(batch.images), evaluation_noise(batch, self.split), c=batch.labels)
            per_dimension = kl_per_dimension(terms.q, vae.prior(batch.labels))
        mean = terms.q.mean.double()
        if per_dimension is None:
            self.factorised, per_dimension = False, torch.zeros_like(mean)
        self.has_kl, self.has_units = terms.has_kl, REAL_SPACE in vae.posterior.capabilities
        kl = terms.kl if terms.has_kl else torch.zeros_like(terms.reconstruction)
        images = mean.new_tensor([len(mean)])
        totals = torch.stack([terms.reconstruction, kl], 1).double().sum(0)
        parts = [images, totals, per_dimension.double().sum(0), mean.sum(0), mean.square().sum(0)]
        self.sums += torch.cat(parts).cpu()

    def metrics(self) -> dict[str, float]:
        """Return the elbo, reconstruction and kl in nats per image, and the number of active units, as far as they are defined.

        Active units are defined for real-valued codes only: the means of others are bounded (probabilities of classes, points in
        a ball), so that a variance of 0.01 means nothing.
        """
        _, reconstruction, kl = (self.sums[:3] / self.sums[0]).tolist()
        return {
            **({"elbo": -(reconstruction + kl)} if self.has_kl else {}),
            "reconstruction": reconstruction,
            **({"kl": kl} if self.has_kl else {}),
            **({"active_units": int((self.posterior_variance() > ACTIVE_VARIANCE).sum())} if self.has_units else {}),
        }

    def kl_per_dimension(self) -> list[float] | None:
        """Mean KL of each latent dimension, in nats; None if q or p does not factorise."""
        if not self.factorised:
            return None
        return (self.sums[3 : 3 + self.latent_dim] / self.sums[0]).tolist()

    def active_channels(self, grid: tuple[int, int]) -> int | None:
        """Return how many channels of a grid are active at one of its sites at least; None if units are undefined."""
        if not self.has_units:
            return None
        active = self.posterior_variance().view(-1, grid[0] * grid[1]) > ACTIVE_VARIANCE
        return int(active.any(1).sum())

    def posterior_variance(self) -> Tensor:
        """Var_x(E_q[z_j|x]) of each latent dimension, (latent_dim,); above 0.01 it is active (Burda et al. 2016)."""
        mean, square = (self.sums[3 + self.latent_dim :] / self.sums[0]).view(2, self.latent_dim)
        return square - mean.square()


def evaluate_elbo(vae: VAE, batches: Iterable[Batch], split: str) -> SplitSums:
    """Add up a whole split.

    Args:
        vae: the VAE.
        batches: the images.
        split: the name of their split, which seeds the noise.
    """
    sums = SplitSums(vae.latent_dim, split)
    for batch in batches:
        sums.add(vae, batch)
    return sums
