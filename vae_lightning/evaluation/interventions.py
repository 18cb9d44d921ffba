"""Disentanglement scores that fix one factor and look for the codes that do not change: FactorVAE's and β-VAE's."""

from __future__ import annotations

import numpy as np

from vae_lightning.evaluation.probes import linear_classifier
from vae_lightning.noise import derive_seed

VOTES = 800  # votes to fit to, and as many again to measure on
FIXED = 64  # images that share a factor's value
SILENT = 0.05  # variance below which Kim and Mnih (2018) drop a dimension


def _scaled(z: np.ndarray) -> np.ndarray:
    """Codes (N, dimensions) scaled to variance 1, without those of variance below 0.05."""
    variance = z.var(0)
    used = variance > SILENT
    return z[:, used] / np.sqrt(variance[used])


def factor_vae_score(z: np.ndarray, v: np.ndarray, seed: int = 0) -> float:
    """Accuracy of the majority vote "dimension of least scaled variance → factor held fixed" (Kim and Mnih 2018, section 4).

    Each vote draws images, with repetition, that share one value of one factor, and takes the dimension with the least variance
    relative to its variance over all images. Dimensions of variance below 0.05 are dropped (0 if none is left). Chance is
    1/factors.

    Args:
        z: codes, (N, latent_dim).
        v: factors, (N, factors).
        seed: seed of the votes.
    """
    scaled = _scaled(z)
    if scaled.shape[1] == 0:
        return 0.0
    rng = np.random.default_rng(derive_seed(seed, "factor_vae_score"))
    dimension, factor = np.array([_vote(scaled, v, rng) for _ in range(2 * VOTES)]).T
    table = np.zeros((scaled.shape[1], v.shape[1]))
    np.add.at(table, (dimension[:VOTES], factor[:VOTES]), 1)
    return float((table.argmax(1)[dimension[VOTES:]] == factor[VOTES:]).mean())


def _vote(z: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    factor = int(rng.integers(v.shape[1]))
    return int(z[_sharing(v, factor, FIXED, rng)].var(0).argmin()), factor


def beta_vae_score(z: np.ndarray, v: np.ndarray, seed: int = 0) -> float:
    """Accuracy of a linear classifier that tells from the mean |z − z'| over pairs which factor they share (Higgins et al. 2017).

    Their section 3. In each example all pairs share the same factor, and each pair has its own value of it. Codes are scaled to
    variance 1, and those of variance below 0.05 are dropped. Chance is 1/factors.

    Args:
        z: codes, (N, latent_dim).
        v: factors, (N, factors).
        seed: seed of the pairs.
    """
    scaled = _scaled(z)
    if scaled.shape[1] == 0:
        return 0.0
    rng = np.random.default_rng(derive_seed(seed, "beta_vae_score"))
    factor = rng.integers(v.shape[1], size=2 * VOTES)
    differences = np.array([_difference(scaled, v, int(k), rng) for k in factor])
    probe = linear_classifier(differences[:VOTES], factor[:VOTES], penalty=100)
    return float(probe.score(differences[VOTES:], factor[VOTES:]))


def _difference(z: np.ndarray, v: np.ndarray, factor: int, rng: np.random.Generator) -> np.ndarray:
    """Mean of |z − z'| over FIXED pairs that share the factor's value, (latent_dim,)."""
    first = rng.integers(0, len(z), FIXED)
    order = np.argsort(v[:, factor], kind="stable")
    starts = np.searchsorted(v[order, factor], v[first, factor], "left")
    ends = np.searchsorted(v[order, factor], v[first, factor], "right")
    second = order[rng.integers(starts, ends)]
    return np.asarray(np.abs(z[first] - z[second]).mean(0))


def _sharing(v: np.ndarray, factor: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the indices of `count` images that share the factor's value with an image drawn at random."""
    value = v[rng.integers(len(v)), factor]
    return np.asarray(rng.choice(np.flatnonzero(v[:, factor] == value), count))
