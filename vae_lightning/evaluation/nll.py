"""−log p(x) by importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_lightning.bounds import log_weights
from vae_lightning.data.base import Batch
from vae_lightning.evaluation.elbo import evaluation_noise, pixels
from vae_lightning.noise import ExampleNoise
from vae_lightning.vae import VAE


@dataclass(frozen=True)
class NLL:
    """`nll`: mean over images of −log (1/k) Σ w, nats per image, lower is better; `standard_error` of that mean over images."""

    nll: float
    standard_error: float
    samples: int


@torch.no_grad()
def evaluate_nll(
    vae: VAE,
    batches: Iterable[Batch],
    split: str,
    samples: int,
    chunk: int = 50,
    progress: Callable[[int], None] = lambda images: None,
) -> NLL:
    """log p(x) ≈ log (1/k) Σ_i p(x|z_i) p(z_i) / q(z_i|x), z_i ~ q(z|x) (Burda et al. 2016, section 5), k = `samples`.

    A lower bound on log p(x) in expectation, tight as k grows. `chunk` samples of a batch are in memory at once; it changes
    nothing in the figures, since noise is keyed by (example, sample). `progress` is told how many images were done.
    """
    log_p = []
    for batch in batches:
        log_p.append(_log_marginal(vae, batch, split, samples, chunk))
        progress(len(batch.images))
    values = -torch.cat(log_p)
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return NLL(values.mean().item(), error, samples)


def _log_marginal(vae: VAE, batch: Batch, split: str, samples: int, chunk: int) -> Tensor:
    """log (1/k) Σ_i w_i of each image, float64 on the host."""
    x = pixels(batch.images)
    parts = []
    for first in range(0, samples, chunk):
        keyed = evaluation_noise(batch, split, "nll")
        noise = ExampleNoise(keyed.examples, keyed.seed, first_sample=first)
        log_w = log_weights(vae, x, min(chunk, samples - first), noise, batch.labels)
        parts.append(torch.logsumexp(log_w.double(), 0))
    return (torch.logsumexp(torch.stack(parts), 0) - math.log(samples)).cpu()
