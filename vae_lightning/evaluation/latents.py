"""What each latent dimension carries: active units, KL per dimension, moments; and the aggregate posterior's divergences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.data.base import Batch
from vae_lightning.evaluation.aggregate import aggregate_metrics
from vae_lightning.evaluation.codes import Codes
from vae_lightning.evaluation.elbo import ACTIVE_VARIANCE
from vae_lightning.evaluation.measure_result import ERROR_SUFFIX, MeasureResult, bootstrap_error, mean_error
from vae_lightning.models.vae import VAE


def evaluate_latents(vae: VAE, batches: Sequence[Batch], codes: Codes, split: str, points: int = 2000) -> MeasureResult:
    """All figures of the latent space; what the posterior or the prior lacks is left out, with a sentence."""
    real = REAL_SPACE in vae.posterior.capabilities
    found = unit_metrics(codes, real)
    found.update(moment_metrics(codes, real))
    if codes.kl is not None and codes.sample is not None:
        found.update(aggregate_metrics(vae, batches, split, points))
    else:
        found.notes.append("No mutual information: this posterior has no density over a latent vector.")
    return found


def unit_metrics(codes: Codes, real: bool = True) -> MeasureResult:
    """active_units: dimensions with Var_x(E[z_j|x]) > 0.01 (Burda et al. 2016, section 4.1); kl_per_dimension: nats, a list.

    real: whether codes are real numbers. Means of others are bounded (shares of classes, points in a sphere), so that a variance
    of 0.01 says nothing, and there are no active units.
    """
    found = MeasureResult()
    if codes.kl_per_dimension is not None:
        found.values["kl_per_dimension"] = codes.kl_per_dimension.double().mean(0).tolist()
        if len(codes) > 1:
            found.values["kl_per_dimension" + ERROR_SUFFIX] = [mean_error(column) for column in codes.kl_per_dimension.T]
    elif codes.kl is not None:
        found.notes.append("No KL of each dimension: this posterior or this prior is no product over dimensions.")
    if codes.mean is None:
        found.notes.append("No active units: this posterior has no mean vector.")
        return found
    if not real or len(codes) < 2:
        why = "it takes at least two images" if real else f"they are counted where there are {REAL_SPACE}"
        found.notes.append(f"No active units: {why}.")
        return found
    mean = codes.mean.double().numpy()

    def active(places: np.ndarray) -> float:
        return float((mean[places].var(0) > ACTIVE_VARIANCE).sum())

    count, dimensions = int(active(np.arange(len(mean)))), mean.shape[1]
    found.values["active_units"] = count
    found.values["active_units" + ERROR_SUFFIX] = bootstrap_error(active, len(mean))
    if count < dimensions:
        found.notes.append(
            f"Not active: {dimensions - count} of {dimensions} latent dimensions, in which the variance of the mean code over "
            f"the images is at most {ACTIVE_VARIANCE:g}."
        )
    return found


def moment_metrics(codes: Codes, real: bool = True) -> MeasureResult:
    """Mean and standard deviation of each dimension of z ~ q(z) = E_x q(z|x), as lists, which N(0, I) has at 0 and 1;

    aggregate_correlation: the largest |correlation| between two dimensions, where there are two and codes are `real` numbers
    (those of one-hot vectors go together whatever they encode).
    """
    if codes.sample is None or len(codes) < 3:
        return MeasureResult()
    z = codes.sample.double()
    found = MeasureResult({"aggregate_mean": z.mean(0).tolist(), "aggregate_standard_deviation": z.std(0).tolist()})
    found.values["aggregate_mean" + ERROR_SUFFIX] = [mean_error(column) for column in z.T]
    found.values["aggregate_standard_deviation" + ERROR_SUFFIX] = [_deviation_error(column) for column in z.T]
    if real and z.shape[1] > 1:
        found.values["aggregate_correlation"] = _largest_correlation(z)
        # of a single correlation ρ: (1 − ρ²)/√(N − 1)
        found.values["aggregate_correlation" + ERROR_SUFFIX] = (1 - _largest_correlation(z) ** 2) / (len(z) - 1) ** 0.5
    return found


def _deviation_error(values: Tensor) -> float:
    """Of a standard deviation s of n values, whatever they are distributed like: that of their variance by the delta method,

    √((m_4 − m_2²)/n) / 2s, m_k their central moments (s/√2n where they are Gaussian).
    """
    square = (values - values.mean()).square()
    return mean_error(square) / (2 * values.std().item()) if values.std() > 0 else 0.0


def _largest_correlation(z: Tensor) -> float:
    correlation = np.corrcoef(z.numpy().T)
    np.fill_diagonal(correlation, 0)
    return float(np.nanmax(np.abs(correlation)))
