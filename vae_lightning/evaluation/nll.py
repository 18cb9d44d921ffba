"""−log p(x) by importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.at_once import images_at_once, split_batches
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.evaluation.measure_result import ERROR_SUFFIX, MeasureResult, mean_error
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise
from vae_lightning.objectives.terms import log_weights

GPU_SAMPLES = 5000  # as in most papers
BIASED = 0.05  # nats: a note is made if the nll is estimated to be too high by more
# Nominal cost of one sample of one image on a CPU, so that k depends on the model and not on how busy the machine is:
# seconds per floating-point operation of matrix products and convolutions, and per pixel and channel.
FLOP_SECONDS, PIXEL_SECONDS = 1 / 20e9, 10e-9


@dataclass(frozen=True)
class NLL:
    """−log p(x) of N images, estimated with k importance samples.

    Args:
        values: −log (1/k) Σ w of each image, nats, float64 (N,).
        by_samples: the same for the first 1, 2, 5, 10 … k samples, each (N,).
        effective: effective sample size (Σw)²/Σw² of each image, between 1 and k, (N,).
        bias: estimate of by how much each of `values` is too high, (N,); see `half_sample_bias`. NaN for k = 1.
        samples: k.
    """

    values: Tensor
    by_samples: dict[int, Tensor]
    effective: Tensor
    bias: Tensor
    samples: int

    @property
    def nll(self) -> float:
        """The mean over images, nats per image; lower is better."""
        return self.values.mean().item()

    @property
    def monte_carlo_error(self) -> float:
        """Standard error over the noise: √Σ_i Var_i / N, with Var_i = 1/ESS_i − 1/k by the delta method for log (1/k) Σ w.

        Too small if a few samples carry most of the weight, which `by_samples` and `effective` show. NaN for k = 1.
        """
        if self.samples < 2:
            return math.nan
        variance = (1 / self.effective - 1 / self.samples).clamp_min(0)
        return variance.sum().sqrt().item() / len(self.values)

    def metrics(self) -> MeasureResult:
        """Return the values by metric name, and a note if the nll has not converged."""
        found = MeasureResult()
        found.add_mean("nll", self.values)
        found.values["nll_samples"] = self.samples
        if self.samples > 1:
            found.values["nll_monte_carlo_error"] = self.monte_carlo_error
            found.add_mean("nll_bias", self.bias)
        found.add_mean("nll_effective_samples", self.effective)
        found.values["nll_effective_samples_lowest"] = self.effective.min().item()
        found.values["nll_by_samples"] = {str(k): values.mean().item() for k, values in self.by_samples.items()}
        if len(self.values) > 1:
            found.values["nll_by_samples" + ERROR_SUFFIX] = {str(k): mean_error(values) for k, values in self.by_samples.items()}
        bias = found.values.get("nll_bias", 0.0)
        if bias > BIASED:
            found.notes.append(
                f"The nll has not converged: with {self.samples:,} samples it is too high by an estimated {bias:.2f} nats, or by "
                "more if a few samples carry most of the weight; increase nll.samples."
            )
        return found


@torch.no_grad()
def evaluate_nll(
    vae: VAE,
    batches: Iterable[Batch],
    split: str,
    samples: int,
    chunk: int = 2000,
    progress: Callable[[int], None] = lambda images: None,
) -> NLL:
    """Estimate −log p(x) by importance sampling (Burda et al. 2016, section 5).

    log p(x) ≈ log (1/k) Σ_i p(x|z_i) p(z_i) / q(z_i|x), z_i ~ q(z|x): in expectation a lower bound, tight as k grows.

    Args:
        vae: the VAE.
        batches: the images.
        split: the name of their split, which seeds the noise.
        samples: k.
        chunk: decoded images (images × samples) in memory at once, and no more than have 2²⁶ pixels together; it does not change
            the values, since noise is keyed by (example, sample).
        progress: called with the number of images done.

    Raises:
        NotImplementedError: q has no density.

    Example:
        >>> evaluate_nll(vae, batches, "test", samples=5000).nll
    """
    ladder, chunk = sample_ladder(samples), images_at_once(vae.shape, chunk)
    found = []
    for batch in split_batches(batches, chunk):
        found.append(_importance(vae, batch, split, ladder, max(1, chunk // len(batch.images))))
        progress(len(batch.images))
    bounds, effective, halves = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
    bias = half_sample_bias(bounds[-1], halves, samples)
    return NLL(-bounds[-1], dict(zip(ladder, -bounds, strict=True)), effective, bias, samples)


def half_sample_bias(whole: Tensor, halves: Tensor, samples: int) -> Tensor:
    """Estimate by how much −log (1/k) Σ w is too high: the jackknife over the two halves of the samples (Quenouille 1956).

    With n samples −log (1/n) Σ w is too high by c/n + O(1/n²) on average (Nowozin 2018, proposition 1), so that the difference
    between the halves and the whole tells c. Where a few samples carry most of the weight, the bias falls more slowly than 1/n,
    and is larger than this.

    Args:
        whole: log (1/k) Σ w of all k samples, (N,).
        halves: the same of the first ⌊k/2⌋ samples and of the others, (2, N).
        samples: k.

    Returns:
        c/k of each image, in nats, (N,); NaN for k = 1.
    """
    if samples < 2:
        return torch.full_like(whole, math.nan)
    first = samples // 2
    in_halves = (1 / first + 1 / (samples - first)) / 2
    return (whole - halves.mean(0)) / (in_halves * samples - 1)


def sample_ladder(samples: int) -> list[int]:
    """Return the numbers 1, 2, 5, 10, 20, 50 … below `samples`, and `samples`."""
    steps = [m * 10**e for e in range(len(str(samples))) for m in (1, 2, 5)]
    return [k for k in steps if k < samples] + [samples]


def samples_within(vae: VAE, images: int, seconds: float) -> int:
    """Return the largest k among 10, 20, 50 … 5000 with which `images` images take about `seconds` on a CPU.

    Derived from the model's operation count, not from a stopwatch: the same run always gets the same k, and so the same values.

    Args:
        vae: the VAE.
        images: number of images.
        seconds: time budget.
    """
    affordable = seconds / (images * seconds_per_sample(vae))
    return max([k for k in sample_ladder(GPU_SAMPLES) if 10 <= k <= affordable], default=10)


def seconds_per_sample(vae: VAE) -> float:
    """Return the nominal cost of one sample of one image on a CPU, in seconds."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(vae.parameters()).device
    tried = 8
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        index = torch.zeros(1, dtype=torch.long, device=device)
        batch = Batch(torch.zeros(1, *vae.shape, dtype=torch.uint8, device=device), index, index)
        log_weights(vae, pixels(batch.images), tried, evaluation_noise(batch, "test", "nll"), index)
    return counter.get_total_flops() / tried * FLOP_SECONDS + math.prod(vae.shape) * PIXEL_SECONDS


def _importance(vae: VAE, batch: Batch, split: str, ladder: Sequence[int], at_once: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return sums of the importance weights of each image; float64, on the CPU.

    They are accumulated over chunks of samples, so that memory does not grow with k.

    Returns:
        log (1/k) Σ_i w_i for each k of the ladder, (rungs, batch); (Σw)²/Σw², (batch,); and log (1/n) Σ_i w_i of the first ⌊k/2⌋
        samples and of the others, (2, batch).
    """
    x = pixels(batch.images)
    keyed = evaluation_noise(batch, split, "nll")
    samples, half = ladder[-1], ladder[-1] // 2
    total = x.new_full((len(x),), -math.inf, dtype=torch.float64)
    squares, halves, bounds, done = total.clone(), [total.clone(), total.clone()], [], 0
    for stop in sorted({*ladder, *([half] if half else [])}):
        while done < stop:
            count = min(at_once, stop - done)
            noise = ExampleNoise(keyed.examples, keyed.seed, first_sample=done)
            log_w = log_weights(vae, x, count, noise, batch.labels).double()
            of_chunk, which = torch.logsumexp(log_w, 0), int(done >= half)
            total = torch.logaddexp(total, of_chunk)
            halves[which] = torch.logaddexp(halves[which], of_chunk)
            squares = torch.logaddexp(squares, torch.logsumexp(2 * log_w, 0))
            done += count
        if stop in ladder:
            bounds.append(total - math.log(stop))
    means = torch.stack([halves[0] - math.log(max(1, half)), halves[1] - math.log(samples - half)])
    return torch.stack(bounds).cpu(), (2 * total - squares).exp().cpu(), means.cpu()
