"""`ais`: −log p(x) by annealed importance sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.capabilities import DENSITY, REAL_SPACE
from vae_lightning.errors import check_int
from vae_lightning.evaluation.measures.base import Measure, Metric, details

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


MOST = {"images": 1_000_000, "chains": 10_000, "steps": 100_000, "leapfrog": 1000, "simulated": 1_000_000}


@dataclass(frozen=True)
class AISMeasure(Measure):
    """A check of the nll that does not depend on the encoder (Wu et al. 2017).

    Args:
        images: images of the split, evenly spaced.
        chains: AIS chains per image.
        steps: steps from the prior to the posterior.
        leapfrog: leapfrog steps of each move.
        simulated: images drawn from the model itself, for the gap between the two bounds.
    """

    images: int = 50
    chains: int = 4
    steps: int = 300
    leapfrog: int = 5
    simulated: int = 50

    name = "ais"
    by_default = False
    metrics = (
        Metric("ais", "−log p(x) by annealed importance sampling", "nats", "min"),
        Metric("ais_minus_nll", "ais − nll on the same images", "nats", invalidated_by=("nll",)),
        Metric("ais_gap", "gap between upper and lower bound of log p(x) on simulated images", "nats", "min"),
        *details(
            ("ais_images", "images measured"),
            ("ais_chains", "chains per image"),
            ("ais_steps", "steps from the prior to the posterior"),
        ),
    )

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            check_int(name, getattr(self, name), 1, most)

    def measure(self, context: EvaluationContext) -> MeasureResult:
        from vae_lightning.evaluation.ais import evaluate_ais
        from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced

        vae = context.vae
        if context.grey:
            return MeasureResult(notes=["ais was not measured: a Bernoulli is not a likelihood of grey pixels."])
        if not {DENSITY, REAL_SPACE} <= vae.posterior.capabilities or vae.condition.classes:
            return MeasureResult(notes=[f"ais was not measured: it needs {DENSITY} and {REAL_SPACE}, and no condition."])
        count = context.count(self.images)
        nll = None if context.nll is None else context.nll[evenly_spaced(len(context.split), count)]
        return evaluate_ais(
            vae,
            context.batches(count),
            context.split_name,
            self.chains,
            self.steps,
            self.leapfrog,
            self.simulated,
            lambda done: context.advance(done, count),
            nll,
        )
