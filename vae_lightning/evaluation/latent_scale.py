"""The scale of codes, by which latent diffusion divides them before a second model is trained on them."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.models.vae import VAE


@torch.no_grad()
def scaling_factor(vae: VAE, batches: Iterable[Batch], split: str) -> tuple[float, int]:
    """Return 1/s, with s the standard deviation of all numbers of z ~ q(z|x) (Rombach et al. 2022, appendix G).

    s is about the mean of all numbers, over channels, sites and images together: one factor for the whole code.

    Args:
        vae: the VAE, in evaluation mode.
        batches: images.
        split: the name of their split, which seeds the noise.

    Returns:
        The factor, and the number of images; infinity if all codes are equal.
    """
    sums, count, images = torch.zeros(2, dtype=torch.float64), 0, 0
    for batch in batches:
        noise = evaluation_noise(batch, split, "scaling factor")
        z = vae.encode(pixels(batch.images), batch.labels).rsample(noise=noise).double().cpu()
        sums += torch.stack([z.sum(), z.square().sum()])
        count, images = count + z.numel(), images + len(z)
    mean, square = (sums / max(count, 1)).tolist()
    variance = square - mean**2
    return variance**-0.5 if variance > 0 else float("inf"), images
