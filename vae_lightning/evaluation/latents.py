"""The latent space: active units, KL per dimension, moments, and divergences of the aggregate posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.data.images import Batch
from vae_lightning.errors import plural
from vae_lightning.evaluation.aggregate import aggregate_metrics
from vae_lightning.evaluation.codes import Codes
from vae_lightning.evaluation.elbo import ACTIVE_VARIANCE
from vae_lightning.evaluation.measure_result import ERROR_SUFFIX, MeasureResult, bootstrap_error, mean_error
from vae_lightning.models.vae import VAE

INFORMATIVE = 0.1  # nats


def evaluate_latents(vae: VAE, batches: Sequence[Batch], codes: Codes, split: str, points: int = 2000) -> MeasureResult:
    """Compute every metric of the latent space; leave out, with a note, what the posterior or the prior does not allow.

    Args:
        vae: the VAE.
        batches: images that make up the aggregate posterior.
        codes: the codes of the whole split.
        split: its name.
        points: see `aggregate_metrics`.
    """
    real = REAL_SPACE in vae.posterior.capabilities
    found = unit_metrics(codes, real)
    found.update(moment_metrics(codes, real))
    if codes.kl is not None and codes.sample is not None:
        found.update(aggregate_metrics(vae, batches, split, points))
        tighten_upper_bound(found, codes.kl)
    else:
        found.notes.append("Mutual information was not measured: this posterior has no density over a latent vector.")
    return found


def tighten_upper_bound(found: MeasureResult, kl: Tensor) -> None:
    """Bound I(x;z) from above by the mean KL where that is less: E_x KL(q(z|x) ‖ p(z)) = I(x;z) + KL(q(z) ‖ p(z)).

    Args:
        found: the aggregate metrics, changed in place.
        kl: KL(q(z|x) ‖ p(z)) of each image, (N,).
    """
    name = "mutual_information_upper"
    if name in found.values and kl.double().mean().item() < found.values[name]:
        found.values.pop(name + ERROR_SUFFIX, None)
        found.add_mean(name, kl)


def unit_metrics(codes: Codes, real: bool = True) -> MeasureResult:
    """Count active units, dimensions with Var_x(E[z_j|x]) > 0.01 (Burda et al. 2016, section 4.1); and KL per dimension.

    Early in training most units count as active though they carry next to nothing; `informative_dimensions` counts those with a
    mean KL of more than 0.1 nats.

    Args:
        codes: the codes of a split.
        real: whether codes are real-valued. The means of others are bounded (probabilities of classes, points in a ball), so that
            a variance of 0.01 means nothing, and active units are left out.
    """
    found = MeasureResult()
    if codes.kl_per_dimension is not None:
        found.values["kl_per_dimension"] = codes.kl_per_dimension.double().mean(0).tolist()
        if len(codes) > 1:
            found.values["kl_per_dimension" + ERROR_SUFFIX] = [mean_error(column) for column in codes.kl_per_dimension.T]
        count_informative(found, codes.kl_per_dimension.double().numpy())
    elif codes.kl is not None:
        found.notes.append("KL per dimension was not measured: this posterior or this prior is not a product over dimensions.")
    if codes.mean is None:
        found.notes.append("Active units were not counted: this posterior has no mean vector.")
        return found
    if not real or len(codes) < 2:
        why = "that takes at least two images" if real else f"they are defined for {REAL_SPACE} only"
        found.notes.append(f"Active units were not counted: {why}.")
        return found
    mean = codes.mean.double().numpy()

    def active(indices: np.ndarray) -> float:
        return float((mean[indices].var(0) > ACTIVE_VARIANCE).sum())

    count, dimensions = int(active(np.arange(len(mean)))), mean.shape[1]
    found.values["active_units"] = count
    found.values["active_units" + ERROR_SUFFIX] = bootstrap_error(active, len(mean))
    if count < dimensions:
        inactive = dimensions - count
        verb, whose = ("is", "its") if inactive == 1 else ("are", "their")
        found.notes.append(
            f"{inactive} of {plural(dimensions, 'latent dimension')} {verb} inactive: the variance of {whose} mean code over "
            f"images is at most {ACTIVE_VARIANCE:g}."
        )
    return found


def count_informative(found: MeasureResult, kl: np.ndarray) -> None:
    """Add the number of dimensions with a mean KL over `INFORMATIVE` nats, from the KL of each image, (N, latent_dim)."""

    def informative(indices: np.ndarray) -> float:
        return float((kl[indices].mean(0) > INFORMATIVE).sum())

    found.values["informative_dimensions"] = int(informative(np.arange(len(kl))))
    if len(kl) > 1:
        found.values["informative_dimensions" + ERROR_SUFFIX] = bootstrap_error(informative, len(kl))


def moment_metrics(codes: Codes, real: bool = True) -> MeasureResult:
    """Moments of the aggregate posterior q(z) = E_x q(z|x): for N(0, I), means are 0, deviations 1 and correlations 0.

    - aggregate_mean, aggregate_standard_deviation: lists over latent dimensions.
    - aggregate_correlation: the largest |correlation| between two dimensions, for `real` codes only: the entries of one-hot
      vectors are always correlated.
    """
    if codes.sample is None or len(codes) < 3:
        return MeasureResult()
    z = codes.sample.double()
    found = MeasureResult({"aggregate_mean": z.mean(0).tolist(), "aggregate_standard_deviation": z.std(0).tolist()})
    found.values["aggregate_mean" + ERROR_SUFFIX] = [mean_error(column) for column in z.T]
    found.values["aggregate_standard_deviation" + ERROR_SUFFIX] = [_deviation_error(column) for column in z.T]
    if real and z.shape[1] > 1:
        found.values["aggregate_correlation"] = _largest_correlation(z)
        # standard error of a correlation ρ: (1 − ρ²)/√(N − 1)
        found.values["aggregate_correlation" + ERROR_SUFFIX] = (1 - _largest_correlation(z) ** 2) / (len(z) - 1) ** 0.5
    return found


def _deviation_error(values: Tensor) -> float:
    """Return the standard error of a standard deviation s of n values from any distribution, by the delta method.

    √((m_4 − m_2²)/n) / 2s, with central moments m_k; s/√(2n) for a Gaussian.
    """
    square = (values - values.mean()).square()
    return mean_error(square) / (2 * values.std().item()) if values.std() > 0 else 0.0


def _largest_correlation(z: Tensor) -> float:
    correlation = np.corrcoef(z.numpy().T)
    np.fill_diagonal(correlation, 0)
    return float(np.nanmax(np.abs(correlation)))
