"""`latents`: mutual information, total correlation and the aggregate posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vae_lightning.capabilities import DENSITY_ANYWHERE
from vae_lightning.errors import check_int, check_int_or_null
from vae_lightning.evaluation.measures.base import Measure, Metric, details

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class LatentsMeasure(Measure):
    """What the latent space carries as a whole (Hoffman and Johnson 2016; Chen et al. 2018).

    Args:
        images: images that make up the aggregate posterior; None for all.
        points: draws z ~ q(z) at which densities are evaluated.
    """

    images: int | None = 10000
    points: int = 2000

    name = "latents"
    metrics = (
        Metric(
            "mutual_information",
            "I(x;z), a lower bound; objectives may report theirs too",
            "nats",
            "max",
            needs_density=True,
            hparams=True,
        ),
        Metric("mutual_information_upper", "I(x;z), the smaller of two upper bounds", "nats"),
        Metric("informative_dimensions", "latent dimensions with a mean KL over 0.1 nats", "", "max", digits=1),
        Metric("marginal_kl", "KL(q(z) ‖ p(z))", "nats", "min"),
        Metric("total_correlation", "KL(q(z) ‖ Π_j q(z_j)); objectives may report theirs too", "nats", "min"),
        Metric("dimension_wise_kl", "Σ_j KL(q(z_j) ‖ p(z_j))", "nats"),
        Metric("aggregate_correlation", "largest |correlation| between two latent dimensions", better="min"),
        *details(
            ("mutual_information_ceiling", "log N, the largest value mutual_information can take, in nats"),
            ("aggregate_mean", "mean of each latent dimension under q(z)"),
            ("aggregate_standard_deviation", "standard deviation of each latent dimension under q(z)"),
        ),
    )

    def __post_init__(self) -> None:
        check_int_or_null("images", self.images, 2)
        check_int("points", self.points, 1, MOST_POINTS)

    def measure(self, context: EvaluationContext) -> MeasureResult:
        from vae_lightning.evaluation.latents import evaluate_latents

        vae, codes, split = context.vae, context.codes, context.split_name
        reason = ""
        if vae.condition.classes:
            reason = f"with {vae.condition.option} there is no single aggregate posterior"
        elif DENSITY_ANYWHERE not in vae.posterior.capabilities:
            reason = f"{vae.posterior.option} has no density at any z"
        if reason:
            found = evaluate_latents(vae, [], replace(codes, sample=None), split)
            found.notes = [f"Mutual information and total correlation were not measured: {reason}."]
            return found
        return evaluate_latents(vae, context.batches(self.images), codes, split, self.points)
