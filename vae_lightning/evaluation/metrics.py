"""Every metric: its name, unit and direction, and where it is shown."""

from __future__ import annotations

# columns of TensorBoard's HParams tab: the first four come from training, the others once a run is evaluated
HPARAMS_METRICS = ("elbo", "reconstruction", "kl", "active_units", "nll", "bits_per_dim", "mutual_information", "mig")


# by figure, how the names of all begin that say no more once it is measured again
INVALIDATED_PREFIXES = {"nll": ("nll", "bits_per_dim", "ais_minus_nll"), "ais": ("ais",)}


_NATS = (
    "elbo", "reconstruction", "kl", "nll", "ais", "ais_minus_nll", "ais_gap", "mutual_information", "mutual_information_upper",
    "marginal_kl", "total_correlation", "dimension_wise_kl",
)  # fmt: skip


UNITS = {**dict.fromkeys(_NATS, "nats"), "bits_per_dim": "bits", "elbo_bits_per_dim": "bits"}


HIGHER_IS_BETTER = (
    "elbo",
    "bound",
    "active_units",
    "log_likelihood",
    "accuracy",
    "mutual_information",
    "mig",
    "images_per_second",
)


LOWER_IS_BETTER = ("reconstruction", "kl", "nll", "loss", "bits_per_dim", "fid", "kid", "mse")
