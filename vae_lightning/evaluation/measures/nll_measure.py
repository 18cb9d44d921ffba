"""`nll`: −log p(x) by importance sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import check_int, check_int_or_null, check_number
from vae_lightning.evaluation.measures.base import Measure, Metric, details

if TYPE_CHECKING:
    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


MOST_SAMPLES = 1_000_000  # the most samples of an image, and the most decoded at once
LONG = 600  # seconds: a measurement that takes longer is announced


@dataclass(frozen=True)
class NLLMeasure(Measure):
    """The negative log-likelihood by importance sampling (Burda et al. 2016, section 5).

    Args:
        samples: k per image; None: 5000 on a GPU, on a CPU about as many as fit in `seconds`; 0 turns the measure off.
        seconds: time budget on a CPU at a nominal speed, so that the same run always has the same k.
        images: how many images of the split, evenly spaced; None for all.
        chunk: decoded images (images × samples) in memory at once.
    """

    samples: int | None = None
    seconds: float = 60
    images: int | None = None
    chunk: int = 2000

    name = "nll"
    metrics = (
        Metric("nll", "−log p(x) by importance sampling", "nats", "min", needs_density=True, sweep_table=True, hparams=True),
        Metric("nll_samples", "importance samples per image", digits=0),
        Metric("nll_effective_samples", "effective sample size (Σw)²/Σw², mean over images", digits=1),
        Metric("bits_per_dim", "nll per pixel and channel", "bits", "min", needs_density=True, hparams=True),
        *details(
            ("nll_effective_samples_lowest", "effective sample size of the worst image"),
            ("nll_monte_carlo_error", "standard error of nll over the noise, in nats"),
            ("nll_bias", "estimate of by how much nll is too high for its number of samples, in nats"),
            ("nll_by_samples", "nll by number of samples, in nats"),
            ("nll_images", "images measured"),
        ),
    )

    def __post_init__(self) -> None:
        check_int_or_null("samples", self.samples, 0, MOST_SAMPLES)
        check_number("seconds", self.seconds, 0, above=True)
        check_int_or_null("images", self.images)
        check_int("chunk", self.chunk, 1, MOST_SAMPLES)

    @property
    def is_off(self) -> bool:
        return self.samples == 0

    def announcement(self, context: EvaluationContext) -> str | None:
        """Return how long the measurement will take, if that is more than ten minutes on the CPU."""
        from vae_lightning.evaluation.nll import seconds_per_sample

        if not self.samples or context.device.type != "cpu" or DENSITY not in context.vae.posterior.capabilities:
            return None
        count = context.count(self.images)
        seconds = self.samples * count * seconds_per_sample(context.vae)
        if seconds < LONG:
            return None
        duration = f"{seconds / 3600:,.1f} hours" if seconds > 7200 else f"{seconds / 60:.0f} minutes"
        return f"nll: {self.samples:,} samples of each of {count:,} images take about {duration} (nll.images lowers the number)."

    def measure(self, context: EvaluationContext) -> MeasureResult:
        import torch

        from vae_lightning.evaluation.codes import add_bits_per_dim
        from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced
        from vae_lightning.evaluation.nll import GPU_SAMPLES, evaluate_nll, samples_within

        vae = context.vae
        if DENSITY not in vae.posterior.capabilities:
            return MeasureResult(notes=[f"nll was not measured: {vae.posterior.option} has no density."])
        if context.grey:
            reason = "a Bernoulli is not a likelihood of grey pixels (train with data.binarize=auto to get one)"
            return MeasureResult(notes=[f"nll was not measured: {reason}."])
        count, samples = context.count(self.images), self.samples
        if samples is None:
            samples = GPU_SAMPLES if context.device.type == "cuda" else samples_within(vae, count, self.seconds)
        result = evaluate_nll(
            vae, context.batches(count), context.split_name, samples, self.chunk, lambda done: context.advance(done, count)
        )
        context.nll = torch.full((len(context.split),), torch.nan, dtype=torch.float64)
        context.nll[evenly_spaced(len(context.split), count)] = result.values
        found = result.metrics()
        found.notes += describe_convergence(found.values["nll_by_samples"])
        found.values["nll_images"] = count
        add_bits_per_dim(found, vae)
        return found


def describe_convergence(nll_by_samples: Mapping[str, float]) -> list[str]:
    """Return the nll at the last few numbers of samples, which shows whether it has converged."""
    curve = list(nll_by_samples.items())[-4:]
    samples, values = ", ".join(k for k, _ in curve), ", ".join(f"{value:.2f}" for _, value in curve)
    return [f"nll with {samples} samples: {values}."] if len(curve) > 1 else []
