"""One pass over a split: the ELBO's terms and the code of each image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.models.distributions.base import LatentDistribution, kl_per_dimension
from vae_lightning.models.vae import VAE
from vae_lightning.objectives.terms import elbo_terms


@dataclass
class Codes:
    """The codes and the ELBO's terms of N images, on the CPU.

    Args:
        examples: indices of the images in the split, (N,).
        labels: (N,).
        reconstruction: −log p(x|z) for one z ~ q(z|x), nats, float64 (N,).
        kl: KL(q(z|x) ‖ p(z)), nats, (N,); None if q has no density.
        kl_per_dimension: nats, (N, latent_dim); None if q or p does not factorise.
        mean: E[z|x], (N, latent_dim); None if a latent is not a vector.
        sample: one z ~ q(z|x), (N, latent_dim); None if a latent is not a vector.
    """

    examples: Tensor
    labels: Tensor
    reconstruction: Tensor
    kl: Tensor | None
    kl_per_dimension: Tensor | None
    mean: Tensor | None
    sample: Tensor | None

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def elbo(self) -> Tensor | None:
        """The ELBO of each image at β = 1, nats, (N,); None if q has no density."""
        return None if self.kl is None else -(self.reconstruction + self.kl)


@torch.no_grad()
def encode_split(vae: VAE, batches: Iterable[Batch], split: str) -> Codes:
    """Encode every image in float32, with noise keyed by example, exactly as validation during training does.

    Args:
        vae: the VAE.
        batches: the images.
        split: the name of their split, which seeds the noise.
    """
    parts = [_encode_batch(vae, batch, split) for batch in batches]
    return Codes(*(_joined([getattr(part, f.name) for part in parts]) for f in fields(Codes)))


def _encode_batch(vae: VAE, batch: Batch, split: str) -> Codes:
    x = pixels(batch.images)
    with torch.autocast(batch.images.device.type, enabled=False):
        terms = elbo_terms(vae, x, evaluation_noise(batch, split), c=batch.labels)
        q, z, reconstruction = terms.q, terms.z[0], terms.reconstruction
        kl = terms.kl if terms.has_kl else None
        per_dimension = None if kl is None else kl_per_dimension(q, terms.p)
        mean = _mean(q)
    vector = isinstance(z, Tensor) and z.ndim == 2
    parts = (kl if kl is None else kl.double(), per_dimension, mean, z if vector else None)
    there = (part if part is None else part.cpu() for part in parts)
    return Codes(batch.examples.cpu(), batch.labels.cpu(), reconstruction.double().cpu(), *there)


def _mean(q: LatentDistribution) -> Tensor | None:
    """E[z|x], (batch, latent_dim); None if q has no mean vector."""
    try:
        mean = q.mean
    except NotImplementedError:
        return None
    return mean if isinstance(mean, Tensor) and mean.ndim == 2 else None


def _joined(parts: list[Tensor | None]) -> Any:  # a tensor or None: `Codes` says which of its fields are optional
    return None if any(part is None for part in parts) else torch.cat([part for part in parts if part is not None])


def elbo_metrics(codes: Codes) -> MeasureResult:
    """Return the ELBO, reconstruction and kl in nats per image, with standard errors over images.

    `rate` and `distortion` are Alemi et al.'s (2018) names for kl and reconstruction: entropy − distortion ≤ I(x;z) ≤ rate.
    If q has no density there is only a reconstruction.
    """
    found = MeasureResult()
    if codes.elbo is None or codes.kl is None:
        found.add_mean("reconstruction", codes.reconstruction)
        found.notes.append("elbo, kl and nll were not measured: this posterior has no density.")
        return found
    found.add_mean("elbo", codes.elbo)
    found.add_mean("reconstruction", codes.reconstruction)
    found.add_mean("kl", codes.kl)
    found.add_mean("rate", codes.kl)
    found.add_mean("distortion", codes.reconstruction)
    return found


def bits_per_dim(nats: float, shape: tuple[int, int, int]) -> float:
    """Convert nats per image to bits per pixel and channel, nats / (C·H·W·ln 2); only for likelihoods of 8-bit values."""
    return nats / (math.prod(shape) * math.log(2))


def add_bits_per_dim(found: MeasureResult, vae: VAE) -> None:
    """Add bits per dimension for nll and elbo, if the likelihood is one of 8-bit values."""
    if vae.likelihood.discrete_levels != 256:
        return
    for name, source, sign in (("bits_per_dim", "nll", 1), ("elbo_bits_per_dim", "elbo", -1)):
        if source in found.values:
            error = found.values.get(f"{source}_standard_error", math.nan)
            found.add(name, sign * bits_per_dim(found.values[source], vae.shape), bits_per_dim(error, vae.shape))
