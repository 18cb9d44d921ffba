"""The table of metrics: what each is called, its unit, which direction is better, who writes it and where it is shown.

Console, reports, rankings, charts, TensorBoard's HParams tab and the callbacks all look metrics up here. A measure's own metrics
are declared with it, in `evaluation/measures/`, and listed in `METRICS` with the others. `Metric` itself is defined in
`measures/base.py`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vae_lightning.evaluation.measures import MEASURES
from vae_lightning.evaluation.measures.base import ERROR_SUFFIX, Direction, Metric, details

PARTS = "kl_"  # an objective reports the KL of each part of a joint code, or layer of a hierarchy, as `kl_<part>`

# Measured on the validation split after each epoch, columns of every `metrics.csv`, in the table that training ends with, and
# possible values of a `monitor`. The first that a model has is its score.
VALIDATION = (
    Metric(
        "elbo",
        "E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)), at β = 1",
        "nats",
        "max",
        needs_density=True,
        sweep_table=True,
        hparams=True,
        progress_bar=True,
    ),
    Metric("reconstruction", "−E_q[log p(x|z)]", "nats", "min", sweep_table=True, hparams=True, progress_bar=True),
    Metric("kl", "KL(q(z|x) ‖ p(z))", "nats", "min", needs_density=True, sweep_table=True, hparams=True, progress_bar=True),
    Metric(
        "active_units",
        "latent dimensions with Var_x(E[z_j|x]) > 0.01",
        better="max",
        digits=1,
        sweep_table=True,
        hparams=True,
        learning_curve=False,
    ),
)

# evaluate.py always adds these
ALWAYS = (
    Metric("elbo_bits_per_dim", "−elbo per pixel and channel", "bits", "min"),
    *details(
        ("rate", "Alemi et al.'s (2018) name for kl, in nats"),
        ("distortion", "Alemi et al.'s (2018) name for reconstruction, in nats"),
        ("kl_per_dimension", "KL of each latent dimension, in nats"),
    ),
)

# written during training only; an objective may also report `mutual_information` and `total_correlation`
TRAINING = (
    Metric("loss", "what is minimised", "nats", "min", metrics_csv="always"),
    Metric("beta", "weight of the KL term", metrics_csv="always"),
    Metric("lr", "learning rate", metrics_csv="always", train_results=False),
    # never in metrics.csv, so that two runs of one seed write the same file
    Metric("images_per_second", "training speed", better="max", digits=0, metrics_csv="never", train_results=False),
    Metric("bound", "the k-sample bound that is trained", "nats", "max", sweep_table=True),
    Metric("capacity", "capacity that the KL is pulled to", "nats"),
    Metric("capacity_discrete", "capacity of the discrete part", "nats"),
    Metric("dip", "DIP-VAE's penalty on the covariance of the codes", better="min"),
    Metric("mmd", "maximum mean discrepancy of q(z) and p(z)", better="min"),
    Metric("code_norm", "½|z|², the regularised auto-encoder's penalty on its codes", better="min"),
    Metric("smoothness", "the regularised auto-encoder's penalty on its decoder", better="min"),
    Metric("sliced_wasserstein", "squared sliced Wasserstein distance of q(z) and p(z)", better="min"),
    Metric("prior_log_ratio", "log q(z)/p(z) of codes, by the discriminator", "nats"),
    Metric("discriminator_loss", "cross-entropy of the discriminator", "nats"),
)

_BY_WRITER: dict[str, tuple[Metric, ...]] = {
    "elbo": (*VALIDATION, *ALWAYS),
    **{name: measure.metrics for name, measure in MEASURES.items()},
    "training": TRAINING,
}
METRICS: dict[str, Metric] = {metric.name: metric for metrics in _BY_WRITER.values() for metric in metrics}
_WRITER = {metric.name: writer for writer, metrics in _BY_WRITER.items() for metric in metrics}

VALIDATION_METRICS = tuple(metric.name for metric in VALIDATION)
EVALUATION_TABLE = tuple(name for name, metric in METRICS.items() if metric.evaluation_table and _WRITER[name] != "training")
SWEEP_TABLE = tuple(name for name, metric in METRICS.items() if metric.sweep_table)
HPARAMS_METRICS = tuple(name for name, metric in METRICS.items() if metric.hparams)
PROGRESS_METRICS = tuple(name for name, metric in METRICS.items() if metric.progress_bar)
CSV_METRICS = (*VALIDATION_METRICS, *(metric.name for metric in TRAINING if metric.metrics_csv == "always"))
NOT_IN_CSV = frozenset(name for name, metric in METRICS.items() if metric.metrics_csv == "never")


def find_metric(name: str) -> Metric | None:
    """Return the metric of this name; None for one that is not in the table. `kl_<part>` is described as `kl` is."""
    if name in METRICS:
        return METRICS[name]
    return Metric(name, f"KL of {name.removeprefix(PARTS)}", "nats", "min") if name.startswith(PARTS) else None


def unit_of(name: str) -> str:
    """Return `nats` (per image) or `bits` (per pixel and channel); empty if there is no unit, or the metric is unknown."""
    metric = find_metric(name)
    return metric.unit if metric else ""


def digits_of(name: str) -> int:
    """Return the decimals that tables show of a metric."""
    metric = find_metric(name)
    digits = metric.digits if metric else None
    return digits if digits is not None else 2 if unit_of(name) == "nats" else 4


def score_metric(values: Collection[str]) -> str | None:
    """Return the name of the validation metric that a run is judged by: of `VALIDATION`, the first that is among `values`."""
    return next((name for name in VALIDATION_METRICS if name in values), None)


def better_direction(name: str) -> Direction | None:
    """Return `max` if higher is better, `min` if lower is; None if neither is, or the metric is unknown."""
    metric = find_metric(name)
    return metric.better if metric else None


def drop_outdated(earlier: Mapping[str, Any], new: Collection[str]) -> dict[str, Any]:
    """Return the earlier values that remain valid once the metrics `new` have new values.

    A measure that is repeated replaces all of its values, and with them those of other measures that depend on it: the
    difference `ais_minus_nll` goes when `nll` is measured again.
    """
    repeated = {_WRITER[name] for name in new if name in _WRITER}

    def holds(name: str) -> bool:
        metric = METRICS.get(name.removesuffix(ERROR_SUFFIX))
        return metric is None or repeated.isdisjoint((_WRITER[metric.name], *metric.invalidated_by))

    return {name: value for name, value in earlier.items() if holds(name)}
