"""`disentanglement`: scores against known factors of variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import check_int_or_null
from vae_lightning.evaluation.measures.base import Measure, Metric

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


@dataclass(frozen=True)
class DisentanglementMeasure(Measure):
    """MIG, modularity, SAP, DCI, FactorVAE and β-VAE scores, for data sets whose factors are known (see docs/data_sets.md).

    Args:
        images: images of the split, evenly spaced; None for all.
    """

    images: int | None = 5000

    name = "disentanglement"
    metrics = (
        Metric("mig", "mutual information gap (Chen et al. 2018)", better="max", hparams=True),
        Metric("modularity", "modularity (Ridgeway and Mozer 2018)", better="max"),
        Metric("sap", "separated attribute predictability (Kumar et al. 2018)", better="max"),
        Metric("dci_disentanglement", "DCI disentanglement (Eastwood and Williams 2018)", better="max"),
        Metric("dci_completeness", "DCI completeness (Eastwood and Williams 2018)", better="max"),
        Metric("dci_informativeness", "DCI informativeness (Eastwood and Williams 2018)", better="max"),
        Metric("factor_vae_score", "FactorVAE score (Kim and Mnih 2018)", better="max"),
        Metric("beta_vae_score", "β-VAE score (Higgins et al. 2017)", better="max"),
    )

    def __post_init__(self) -> None:
        check_int_or_null("images", self.images, 100)

    def applies_to(self, context: EvaluationContext) -> bool:
        return context.split.factors is not None

    def measure(self, context: EvaluationContext) -> MeasureResult:
        from vae_lightning.evaluation.disentanglement import evaluate_disentanglement
        from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced

        factors, mean = context.split.factors, context.codes.mean
        if factors is None:
            reason = "the factors of these images are unknown (those of data=sprites, dsprites, shapes3d and smallnorb are known)"
            return MeasureResult(notes=[f"Disentanglement was not measured: {reason}."])
        if mean is None:
            return MeasureResult(notes=["Disentanglement was not measured: this posterior has no mean vector."])
        indices = evenly_spaced(len(context.split), self.images)
        return evaluate_disentanglement(mean[indices], factors[indices], context.data.categorical_factors)
