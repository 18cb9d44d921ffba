"""Probes: labels predicted from the codes, fitted to codes of training images and measured on other images."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from torch import Tensor

from vae_lightning.evaluation.measure_result import MeasureResult, bootstrap_error

NEIGHBOURS = 5


def evaluate_probes(train: Tensor, train_labels: Tensor, codes: Tensor, labels: Tensor, seed: int = 0) -> MeasureResult:
    """Measure how well labels can be predicted from codes.

    - linear_probe_accuracy: of a logistic regression (C = 1) on codes standardised by the training codes.
    - knn_accuracy: of the majority among the 5 nearest training codes (Euclidean).
    - chance_accuracy: of always guessing the most common training label.
    - clustering_nmi: normalised mutual information (arithmetic mean) between the labels and k-means clusters fitted to the
      training codes, as many as there are labels.

    Images without a label, −1, are left out.

    Args:
        train: training codes, (N, latent_dim).
        train_labels: (N,).
        codes: codes to measure on, (M, latent_dim).
        labels: (M,).
        seed: seed of k-means and the bootstrap.

    Returns:
        The metrics with standard errors over images.
    """
    (x, y), (x_new, y_new) = _labelled(train, train_labels), _labelled(codes, labels)
    if len(np.unique(y)) < 2:
        return MeasureResult(notes=["Probes were not measured: the training images have fewer than two labels."])
    if not len(y_new):
        return MeasureResult(notes=["Probes were not measured: no image of this split has a label."])
    if not (np.isfinite(x).all() and np.isfinite(x_new).all()):
        return MeasureResult(notes=["Probes were not measured: some codes are not finite."])
    found = MeasureResult()
    _add_accuracy(found, "linear_probe_accuracy", _linear(x, y, x_new) == y_new)
    _add_accuracy(found, "knn_accuracy", _nearest(x, y, x_new) == y_new)
    classes, counts = np.unique(y, return_counts=True)
    _add_accuracy(found, "chance_accuracy", classes[counts.argmax()] == y_new)
    _add_nmi(found, _clusters(x, len(classes), x_new, seed), y_new, seed)
    return found


def _labelled(codes: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes and labels of the images that have a label."""
    x, y = (part.detach().cpu().numpy() for part in (codes, labels))
    return x[y >= 0], y[y >= 0]


def _add_accuracy(found: MeasureResult, name: str, right: np.ndarray) -> None:
    """Add the share of right answers, with its standard error over images."""
    share = float(right.mean())
    found.add(name, share, math.sqrt(share * (1 - share) / len(right)))


def _linear(x: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> np.ndarray:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x.astype(np.float64))
    return np.asarray(linear_classifier(scaler.transform(x), y).predict(scaler.transform(x_new)))


def _nearest(x: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    return np.asarray(KNeighborsClassifier(min(NEIGHBOURS, len(x))).fit(x, y).predict(x_new))


def _clusters(x: np.ndarray, clusters: int, x_new: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # k-means warns if there are fewer distinct codes than clusters: the score will show it
        return np.asarray(KMeans(clusters, n_init=4, random_state=seed).fit(x).predict(x_new))


def _add_nmi(found: MeasureResult, clusters: np.ndarray, labels: np.ndarray, seed: int) -> None:
    from sklearn.metrics import normalized_mutual_info_score

    def nmi(indices: np.ndarray) -> float:
        return float(normalized_mutual_info_score(labels[indices], clusters[indices]))

    found.add("clustering_nmi", nmi(np.arange(len(labels))), bootstrap_error(nmi, len(labels), seed, 100))


WIDEST = 1000  # classes · (columns + 1): up to this size Newton's method is faster


def linear_classifier(x: np.ndarray, y: np.ndarray, penalty: float = 1.0) -> Any:
    """Fit a multinomial logistic regression of labels y (N,) on x (N, columns), with the regulariser ‖w‖²/(2·penalty).

    It is fitted to its unique optimum: with scikit-learn's default tolerance, codes that differ only by rounding (from another
    batch size) would give different predictions.

    Args:
        x: inputs, (N, columns).
        y: labels, (N,).
        penalty: C; larger values regularise less.

    Returns:
        The fitted classifier.
    """
    from sklearn.linear_model import LogisticRegression

    newton = len(np.unique(y)) * (x.shape[1] + 1) <= WIDEST
    how = {"solver": "newton-cholesky", "tol": 1e-8} if newton else {"solver": "lbfgs", "tol": 1e-6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about the number of iterations: 1,000 are enough
        return LogisticRegression(C=penalty, max_iter=1000, **how).fit(x.astype(np.float64), y)
