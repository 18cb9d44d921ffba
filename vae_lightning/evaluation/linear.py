"""The linear classifier that probes and scores learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

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
