"""The measures that evaluate.py offers; each is the `Measure` in a file of its own here, registered by one line below."""

from __future__ import annotations

from vae_lightning.evaluation.measures.base import Measure, Metric
from vae_lightning.exports import classes_in

# in the order in which they are measured: a later one may use an earlier one's values
_FILES = (
    "nll_measure",
    "latents_measure",
    "reconstructions_measure",
    "probes_measure",
    "disentanglement_measure",
    "ais_measure",
    "samples_measure",
)
MEASURES: dict[str, type[Measure]] = {measure.name: measure for measure in classes_in(__name__, _FILES, Measure)}  # type: ignore[type-abstract]

__all__ = ["MEASURES", "Measure", "Metric"]
