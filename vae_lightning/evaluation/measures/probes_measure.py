"""`probes`: labels predicted from the codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import check_int_or_null
from vae_lightning.evaluation.measures.base import Measure, Metric

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


@dataclass(frozen=True)
class ProbesMeasure(Measure):
    """A linear probe, nearest neighbours and clusters, fitted to codes of training images.

    Args:
        images: training images to fit to; None for all.
    """

    images: int | None = 10000

    name = "probes"
    metrics = (
        Metric("linear_probe_accuracy", "accuracy of a logistic regression on the codes", better="max"),
        Metric("knn_accuracy", "accuracy of the 5 nearest training codes", better="max"),
        Metric("chance_accuracy", "accuracy of always guessing the most common label"),
        Metric("clustering_nmi", "normalised mutual information of labels and k-means clusters", better="max"),
    )

    def __post_init__(self) -> None:
        check_int_or_null("images", self.images)

    def measure(self, context: EvaluationContext) -> MeasureResult:
        from vae_lightning.evaluation.codes import encode_split
        from vae_lightning.evaluation.measure_result import MeasureResult
        from vae_lightning.evaluation.probes import evaluate_probes

        if context.split_name == "train":
            reason = "they are fitted to the training images, so measure them with split=test or split=val"
            return MeasureResult(notes=[f"Probes were not measured: {reason}."])
        train = context.load_split("train")
        codes = encode_split(context.vae, context.batches(self.images, train), "train")
        if codes.mean is None or context.codes.mean is None:
            return MeasureResult(notes=["Probes were not measured: this posterior has no mean vector."])
        return evaluate_probes(codes.mean, codes.labels, context.codes.mean, context.codes.labels)
