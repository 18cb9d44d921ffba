"""`reconstructions`: how close reconstructions are to their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.evaluation.measures.base import Measure, Metric

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


@dataclass(frozen=True)
class ReconstructionsMeasure(Measure):
    """Mean squared error and structural similarity of E[x|z] at z = E[z|x]. It has no settings."""

    name = "reconstructions"
    metrics = (
        Metric("mse", "mean squared error of pixels in [0, 1]", better="min"),
        Metric("ssim", "structural similarity, at most 1", better="max"),
    )

    def measure(self, context: EvaluationContext) -> MeasureResult:
        from vae_lightning.evaluation.reconstructions import evaluate_reconstructions

        return evaluate_reconstructions(context.vae, context.batches())
