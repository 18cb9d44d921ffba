"""What codes are good for: labels predicted from the latent means, learned on training codes and measured on others."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from torch import Tensor

from vae_lightning.evaluation.measure_result import MeasureResult, bootstrap_error

NEIGHBOURS = 5


def evaluate_probes(train: Tensor, train_labels: Tensor, codes: Tensor, labels: Tensor, seed: int = 0) -> MeasureResult:
    """Codes (N, latent_dim) and labels (N,) of the training split and of the one that is measured:

    linear_probe_accuracy: of a logistic regression (penalty C = 1) on codes scaled by the training codes' mean and deviation;
    knn_accuracy: of the vote of the 5 nearest training codes (Euclidean); chance_accuracy: of always the commonest label;
    clustering_nmi: normalised mutual information (arithmetic mean) of the labels with clusters of k-means, one cluster for
    each label, fitted to the training codes.
    """
    x, y, x_new, y_new = (_array(part) for part in (train, train_labels, codes, labels))
    if len(np.unique(y)) < 2:
        return MeasureResult(notes=["No probes: the training images have fewer than two labels."])
    if not (np.isfinite(x).all() and np.isfinite(x_new).all()):
        return MeasureResult(notes=["No probes: there are codes that are not finite."])
    found = MeasureResult()
    _add_accuracy(found, "linear_probe_accuracy", _linear(x, y, x_new) == y_new)
    _add_accuracy(found, "knn_accuracy", _nearest(x, y, x_new) == y_new)
    classes, counts = np.unique(y, return_counts=True)
    _add_accuracy(found, "chance_accuracy", classes[counts.argmax()] == y_new)
    _add_nmi(found, _clusters(x, len(classes), x_new, seed), y_new, seed)
    return found


def _array(part: Tensor) -> np.ndarray:
    return part.detach().cpu().numpy()


def _add_accuracy(found: MeasureResult, name: str, right: np.ndarray) -> None:
    """The share that is right, and its standard error over images."""
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
        warnings.simplefilter("ignore")  # fewer distinct codes than clusters: the figure says so itself
        return np.asarray(KMeans(clusters, n_init=4, random_state=seed).fit(x).predict(x_new))


def _add_nmi(found: MeasureResult, clusters: np.ndarray, labels: np.ndarray, seed: int) -> None:
    from sklearn.metrics import normalized_mutual_info_score

    def nmi(places: np.ndarray) -> float:
        return float(normalized_mutual_info_score(labels[places], clusters[places]))

    found.add("clustering_nmi", nmi(np.arange(len(labels))), bootstrap_error(nmi, len(labels), seed, 100))


WIDEST = 1000  # classes · (columns + 1) up to which Newton's method is the fast one


def linear_classifier(x: np.ndarray, y: np.ndarray, penalty: float = 1.0) -> Any:
    """Multinomial logistic regression of labels y (N,) on columns x (N, columns), with ‖w‖²/(2·penalty), fitted by scikit-learn.

    At its optimum, which is one: stopped earlier, as by default, codes that differ by rounding (those of another batch size)
    would give other predictions.
    """
    from sklearn.linear_model import LogisticRegression

    newton = len(np.unique(y)) * (x.shape[1] + 1) <= WIDEST
    how = {"solver": "newton-cholesky", "tol": 1e-8} if newton else {"solver": "lbfgs", "tol": 1e-6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 1,000 iterations are enough
        return LogisticRegression(C=penalty, max_iter=1000, **how).fit(x.astype(np.float64), y)
