"""Measuring a trained VAE: each measure, and the table of all metrics (`metrics.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_lightning.exports import lazy_exports

if TYPE_CHECKING:
    from vae_lightning.evaluation.elbo import SplitSums as SplitSums
    from vae_lightning.evaluation.elbo import evaluate_elbo as evaluate_elbo
    from vae_lightning.evaluation.measures import MEASURES as MEASURES
    from vae_lightning.evaluation.measures import Measure as Measure
    from vae_lightning.evaluation.metrics import METRICS as METRICS

_MODULES = {
    "vae_lightning.evaluation.elbo": ("SplitSums", "evaluate_elbo"),
    "vae_lightning.evaluation.measures": ("MEASURES", "Measure"),
    "vae_lightning.evaluation.metrics": ("METRICS",),
}
__all__ = ["MEASURES", "METRICS", "Measure", "SplitSums", "evaluate_elbo"]

__getattr__ = lazy_exports(__name__, {name: module for module, names in _MODULES.items() for name in names})
