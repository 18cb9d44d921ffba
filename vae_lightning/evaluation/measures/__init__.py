"""The measures that evaluate.py offers, in the order in which they are measured: a later one may use an earlier one's values."""

from __future__ import annotations

from vae_lightning.evaluation.measures.ais_measure import AISMeasure
from vae_lightning.evaluation.measures.base import Measure, Metric
from vae_lightning.evaluation.measures.disentanglement_measure import DisentanglementMeasure
from vae_lightning.evaluation.measures.latents_measure import LatentsMeasure
from vae_lightning.evaluation.measures.nll_measure import NLLMeasure
from vae_lightning.evaluation.measures.probes_measure import ProbesMeasure
from vae_lightning.evaluation.measures.reconstructions_measure import ReconstructionsMeasure
from vae_lightning.evaluation.measures.samples_measure import SamplesMeasure

MEASURES: dict[str, type[Measure]] = {
    measure.name: measure
    for measure in (
        NLLMeasure,
        LatentsMeasure,
        ReconstructionsMeasure,
        ProbesMeasure,
        DisentanglementMeasure,
        AISMeasure,
        SamplesMeasure,
    )
}

__all__ = ["MEASURES", "Measure", "Metric"]
