"""Disentanglement: does each latent dimension encode one ground-truth factor, and is each factor encoded by one dimension?

All scores compare codes, the posterior means (N, latent_dim), with factors, integers from 0 on, (N, factors). 1 is perfect. Codes
without any information about the factors score 0, or 1/factors in the FactorVAE and β-VAE scores, as published.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vae_lightning.evaluation.interventions import beta_vae_score, factor_vae_score
from vae_lightning.evaluation.measure_result import MeasureResult, group_error

BINS = 20  # bins of a latent dimension (Locatello et al. 2019), or as many as a factor has values, if that is more
TREES = 20


def evaluate_disentanglement(codes: Tensor, factors: Tensor, categorical: Sequence[bool], seed: int = 0) -> MeasureResult:
    """Compute every score, with standard errors from the spread over five disjoint groups of images (see `group_error`).

    Args:
        codes: (N, latent_dim).
        factors: (N, factors); those that do not vary are left out.
        categorical: whether each factor's values are categories (a shape) rather than quantities (a position).
        seed: seed of the random parts of the scores.
    """
    z, v = codes.detach().cpu().double().numpy(), factors.cpu().numpy()
    varies = [k for k in range(v.shape[1]) if len(np.unique(v[:, k])) > 1]
    if len(varies) < 2:
        return MeasureResult(notes=["Disentanglement was not measured: fewer than two factors vary in these images."])
    if not np.isfinite(z).all():
        return MeasureResult(notes=["Disentanglement was not measured: some codes are not finite."])
    v, names = v[:, varies], [bool(categorical[k]) for k in varies]

    def scores(indices: np.ndarray) -> dict[str, float]:
        return all_scores(z[indices], v[indices], names, seed)

    whole, errors = scores(np.arange(len(z))), group_error(scores, len(z))
    found = MeasureResult()
    for name, value in whole.items():
        found.add(name, value, errors.get(name))
    return found


def all_scores(z: np.ndarray, v: np.ndarray, categorical: Sequence[bool], seed: int = 0) -> dict[str, float]:
    """Return every score by name, of codes z (N, latent_dim) and factors v (N, factors).

    Args:
        z: codes, (N, latent_dim).
        v: factors, (N, factors).
        categorical: whether each factor's values are categories rather than quantities.
        seed: seed of the random parts of the scores.
    """
    information, entropies = mutual_informations(z, v)
    return {
        "mig": mig(information, entropies),
        "modularity": modularity(information, independent_spread(z, v)),
        "sap": sap(z, v, categorical),
        **dci(z, v, seed),
        "factor_vae_score": factor_vae_score(z, v, seed),
        "beta_vae_score": beta_vae_score(z, v, seed),
    }


def mutual_informations(z: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """I(z_j; v_k) in nats, (latent_dim, factors), with z_j in equal bins over its range; and H(v_k), (factors,).

    Adjusted for chance like adjusted mutual information (Vinh et al. 2010): the mean over shuffled factors is subtracted, and
    the rest scaled so that the maximum stays H(v_k). Without this, codes without information would score above 0, the more so
    the more bins there are.
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    bins = max(BINS, *(len(np.unique(column)) for column in v.T))
    entropies = np.array([mutual_info_score(column, column) for column in v.T])
    information = np.zeros((z.shape[1], v.shape[1]))
    for j, code in enumerate(binned(z, bins).T):
        for k, factor in enumerate(v.T):
            table = contingency_matrix(factor, code).astype(np.int64)
            plain = mutual_info_score(None, None, contingency=table)
            chance = expected_mutual_information(table, len(z))
            information[j, k] = max(0.0, (plain - chance) / max(entropies[k] - chance, 1e-12)) * entropies[k]
    return information, entropies


def binned(z: np.ndarray, bins: int) -> np.ndarray:
    """Return each column in `bins` equal intervals from its minimum to its maximum: integers 0 … bins − 1."""
    low, high = z.min(0), z.max(0)
    width = np.where(high > low, high - low, 1)
    return np.minimum((z - low) / width * bins, bins - 1).astype(np.int64)


def independent_spread(z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the estimated I(z_j; v_k) if the true one is 0: √(2·df)/(2N), (factors,), as 2N·I ~ χ²."""
    counts = np.array([len(np.unique(column)) for column in v.T])
    bins = max(BINS, *counts)
    return np.asarray(np.sqrt(2.0 * (counts - 1) * (bins - 1)) / (2 * len(z)))


def mig(information: np.ndarray, entropies: np.ndarray) -> float:
    """Mutual information gap (Chen et al. 2018, eq. 6): mean over factors of (largest − second largest I(z_j; v_k)) / H(v_k)."""
    ordered = np.sort(np.vstack([information, np.zeros((1, information.shape[1]))]), 0)
    return float(((ordered[-1] - ordered[-2]) / entropies).mean())


def modularity(information: np.ndarray, spread: np.ndarray) -> float:
    """Modularity (Ridgeway and Mozer 2018, section 3): mean of 1 − Σ_{k≠best} I_jk² / (I_j,best² · (factors − 1)).

    The mean is over informative dimensions: those with some I_jk above five times its standard deviation without information.
    0 if there are none.
    """
    holds = (information > 5 * spread).any(1)
    if not holds.any():
        return 0.0
    squares = information[holds] ** 2
    best = squares.max(1)
    return float((1 - (squares.sum(1) - best) / (best * (information.shape[1] - 1))).mean())


def sap(z: np.ndarray, v: np.ndarray, categorical: Sequence[bool]) -> float:
    """Separated attribute predictability (Kumar et al. 2018, section 3).

    The mean over factors of the gap between the two dimensions that predict the factor best. A quantity is predicted by linear
    regression, measured by R²; a category by a Gaussian discriminant, measured by its accuracy above that of always guessing
    the most common value, as a share of the possible gain.

    Args:
        z: codes, (N, latent_dim).
        v: factors, (N, factors).
        categorical: whether each factor's values are categories rather than quantities.
    """
    quality = np.zeros((z.shape[1] + 1, v.shape[1]))  # plus a dimension that predicts nothing, in case there is only one
    for j, code in enumerate(z.T):
        if code.std() < 1e-12:
            continue
        for k, factor in enumerate(v.T):
            quality[j, k] = _gain(code, factor) if categorical[k] else np.corrcoef(code, factor)[0, 1] ** 2
    ordered = np.sort(quality, 0)
    return float((ordered[-1] - ordered[-2]).mean())


def _gain(code: np.ndarray, factor: np.ndarray) -> float:
    from sklearn.naive_bayes import GaussianNB

    half = len(code) // 2
    column = code[:, None]
    if len(np.unique(factor[:half])) < 2:
        return 0.0
    right = GaussianNB().fit(column[:half], factor[:half]).score(column[half:], factor[half:])
    chance = np.bincount(factor[half:]).max() / (len(code) - half)
    return max(0.0, float(right - chance) / max(1 - chance, 1e-12))


def dci(z: np.ndarray, v: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018, section 2), by random forests.

    R_jk is the importance of z_j in a forest fitted to v_k on half of the images. Disentanglement: 1 − entropy of a dimension's
    R over the factors, with dimensions weighted by their share of R. Completeness: 1 − entropy of a factor's R over the
    dimensions. Informativeness: the mean over factors of the accuracy above chance on the other half, as a share of the possible
    gain. A forest that is not better than chance (by four standard errors) has learned nothing, and all its R are set equal.

    Args:
        z: codes, (N, latent_dim).
        v: factors, (N, factors).
        seed: seed of the split into halves and of the forests.

    Returns:
        The three scores by name.
    """
    from sklearn.ensemble import RandomForestClassifier

    half = len(z) // 2
    importance, gains = np.full((z.shape[1], v.shape[1]), 1 / z.shape[1]), np.zeros(v.shape[1])
    for k, factor in enumerate(v.T):
        # max_features=None: choosing among a few dimensions only, trees would also split on uninformative ones
        forest = RandomForestClassifier(TREES, max_features=None, min_samples_leaf=2, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns about values with few images: the score will show it
            forest.fit(z[:half], factor[:half])
        right = forest.score(z[half:], factor[half:])
        chance = np.bincount(factor[half:]).max() / (len(z) - half)
        if right > chance + 4 * math.sqrt(chance * (1 - chance) / (len(z) - half)):
            importance[:, k], gains[k] = forest.feature_importances_, (right - chance) / (1 - chance)
    return {
        "dci_disentanglement": _concentration(importance),
        "dci_completeness": _concentration(importance.T),
        "dci_informativeness": float(gains.mean()),
    }


def _concentration(importance: np.ndarray) -> float:
    """Sum over rows of their share times (1 − entropy of the row, in units of log columns)."""
    total = importance.sum()
    if total <= 0 or importance.shape[1] < 2:
        return 0.0
    rows = importance.sum(1)
    p = importance / np.maximum(rows, 1e-300)[:, None]
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1) / math.log(importance.shape[1])
    return float((rows / total * (1 - entropy)).sum())
