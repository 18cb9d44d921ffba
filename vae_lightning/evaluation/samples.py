"""Samples compared with real images in a feature space: Fréchet distance, precision and recall."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vae_lightning.evaluation.at_once import images_at_once
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, UnbatchedNoise, derive_seed

NEIGHBOURS = 3  # Kynkäänniemi et al. 2019, section 3
GROUPS = 10  # groups of the jackknife
_ROWS = 500  # rows of the distance matrix in memory at once


@torch.no_grad()
def draw_features(vae: VAE, features: Callable[[Tensor], Tensor], count: int, seed: int, batch_size: int) -> Tensor:
    """Features (count, F) of images E[x|z], z ~ p(z), clipped to [0, 1]; each z depends only on `seed` and its index.

    Args:
        vae: the VAE.
        features: maps images (n, C, H, W) to features (n, F).
        count: number of samples.
        seed: seed of the samples.
        batch_size: samples decoded at once.
    """
    device = next(vae.parameters()).device
    parts = []
    for indices in torch.arange(count, device=device).split(images_at_once(vae.shape, batch_size)):
        noise = UnbatchedNoise(ExampleNoise(indices, derive_seed("evaluation", "samples", seed)))
        classes = vae.condition.classes
        images = vae.sample(len(indices), noise, indices % classes if classes else None)
        parts.append(features(images.float().clamp(0, 1).cpu()))
    return torch.cat(parts)


def compare_features(real: Tensor, drawn: Tensor, other: Tensor) -> MeasureResult:
    """Compare samples with real images.

    - frechet_distance: between samples and real images. It is biased upwards with few images: compare it with its floor, and with
      runs measured with as many images.
    - precision: share of samples that lie among real images; recall: share of real images that lie among samples (see
      `within_cloud`).
    - `…_floor`: the same with other real images instead of samples, the value of a perfect model with this many images.

    Args:
        real: features (N, F) of test images.
        drawn: features of samples.
        other: features of other real images (training images).

    Returns:
        The metrics, on as many images of each kind as the smallest has, with standard errors.
    """
    count = min(len(real), len(drawn), len(other))
    real, drawn, other = real[:count], drawn[:count], other[:count]
    found = MeasureResult()
    for suffix, images in (("", drawn), ("_floor", other)):
        distance, error = frechet_with_error(real.numpy(), images.numpy())
        found.add(f"frechet_distance{suffix}", distance, error)
        for name, inside in (("precision", within_cloud(images, real)), ("recall", within_cloud(real, images))):
            share = inside.double().mean().item()
            found.add(f"{name}{suffix}", share, math.sqrt(share * (1 - share) / len(inside)))
    found.values["samples_images"] = count
    return found


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|μ_a − μ_b|² + tr(C_a + C_b − 2 (C_a C_b)^½) of float64 features (N, F) (Heusel et al. 2017, eq. 6)."""
    c_a, c_b = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(c_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # C_a^½, so that C_a^½ C_b C_a^½ is symmetric
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_b @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c_a) + np.trace(c_b) - 2 * cross)


def frechet_with_error(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the distance and its jackknife standard error, leaving out each tenth of the images in turn (Efron 1982)."""
    whole = frechet_distance(a, b)
    if len(a) < 2 * GROUPS:
        return whole, math.nan
    # random groups: with a condition, classes are drawn in turn, so every tenth sample may have the same class
    group = np.random.default_rng(derive_seed("jackknife")).permutation(len(a)) % GROUPS
    left_out = np.array([frechet_distance(a[group != g], b[group != g]) for g in range(GROUPS)])
    return whole, float(np.sqrt((GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum()))


def within_cloud(points: Tensor, cloud: Tensor) -> Tensor:
    """Whether each point lies within the distance of some cloud point to its third nearest neighbour in the cloud, (N,).

    See Kynkäänniemi et al. (2019), equations 1 and 2.
    """
    radius = torch.cat([torch.cdist(part, cloud).kthvalue(NEIGHBOURS + 1).values for part in cloud.split(_ROWS)])
    return torch.cat([(torch.cdist(part, cloud) <= radius).any(1) for part in points.split(_ROWS)])
