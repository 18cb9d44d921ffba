"""The aggregate posterior q(z) = (1/N) Σ_n q(z|x_n): how the codes of a whole split are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.at_once import check_numbers
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.vae import VAE

_NUMBERS = 4_000_000  # densities (points × images × dimensions) in memory at once
COPIES = 5  # arrays of points × (1 + latent_dim) in memory together: log q(z) with and without the own image, log p(z), z …
NEAR = 0.5  # nats: this close to log N, the mutual information is reported to be at its ceiling


@torch.no_grad()
def aggregate_metrics(vae: VAE, batches: Sequence[Batch], split: str, points: int = 2000) -> MeasureResult:
    """Decompose the mean KL E_x KL(q(z|x) ‖ p(z)) (Hoffman and Johnson 2016; Chen et al. 2018, eq. 2).

    - mutual_information: I(n;z) = E[log q(z|x_n) − log q(z)] between z and the index n of its image; at most log N. In
      expectation a lower bound on I(x;z), tighter with more images.
    - mutual_information_upper: the same with x_n left out of q(z), in expectation an upper bound on I(x;z) (the leave-one-out
      bound of Poole et al. 2019). `evaluate_latents` puts the mean KL in its place where that is smaller.
    - marginal_kl: KL(q(z) ‖ p(z)) = E[log q(z) − log p(z)].
    - total_correlation: KL(q(z) ‖ Π_j q(z_j)) = E[log q(z) − Σ_j log q(z_j)], for factorised posteriors.
    - dimension_wise_kl: Σ_j KL(q(z_j) ‖ p(z_j)), for factorised posteriors and priors.

    Expectations are means over draws z ~ q(z|x), each from a different image; densities are exact mixtures over all N images.

    Args:
        vae: the VAE.
        batches: the N images.
        split: the name of their split, which seeds the draws.
        points: number of draws.

    Returns:
        The metrics in nats, with standard errors over draws.

    Raises:
        NotImplementedError: q has no density.
    """
    size = sum(len(batch.images) for batch in batches)
    if size < 2:
        return MeasureResult(notes=["Mutual information was not measured: it needs at least two images."])
    check_numbers("latents.points", points, COPIES * min(points, size) * (1 + vae.latent_dim))
    z, example, own = _points(vae, batches, split, evenly_spaced(size, points))
    without = _mixture(vae, batches, z, example)  # first column: joint density; then one column per dimension, if factorised
    log_q = torch.logaddexp(without, own) - math.log(size)
    log_q_without = without - math.log(size - 1)
    log_p = torch.cat([part.double().cpu() for part in _prior_densities(vae, z)], 1)

    found = MeasureResult()
    found.add_mean("mutual_information", own[:, 0] - log_q[:, 0])
    found.add_mean("mutual_information_upper", own[:, 0] - log_q_without[:, 0])
    found.values["mutual_information_ceiling"] = math.log(size)
    found.add_mean("marginal_kl", log_q[:, 0] - log_p[:, 0])
    if own.shape[1] > 1:
        found.add_mean("total_correlation", log_q[:, 0] - log_q[:, 1:].sum(1))
        if log_p.shape[1] > 1:
            found.add_mean("dimension_wise_kl", (log_q[:, 1:] - log_p[:, 1:]).sum(1))
    else:
        found.notes.append("Total correlation was not measured: this posterior has no density for each dimension.")
    found.notes += _ceiling_notes(found.values["mutual_information"], size)
    return found


def _ceiling_notes(mutual_information: float, size: int) -> list[str]:
    near = math.log(size) - mutual_information < NEAR
    text = (
        f"The mutual information is at its ceiling, log {size:,} = {math.log(size):.2f} nats: the posteriors of these images "
        "hardly overlap, and total correlation and marginal KL depend on the number of images more than on the model."
    )
    return [text] if near else []


def _points(vae: VAE, batches: Sequence[Batch], split: str, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw z (points, latent_dim), their examples (points,), and log q(z|x) given their own image (points, columns)."""
    chosen, first = [], 0
    for batch in batches:
        mine = indices[(indices >= first) & (indices < first + len(batch.images))] - first
        first += len(batch.images)
        if len(mine):
            picked = Batch(*(part[mine.to(part.device)] for part in batch))
            q = vae.encode(pixels(picked.images))
            z = q.rsample((), noise=evaluation_noise(picked, split, "aggregate"))
            chosen.append((z, picked.examples, _densities(q, z).double().cpu()))
    z, examples, own = (torch.cat(parts) for parts in zip(*chosen, strict=True))
    return z, examples, own


def _mixture(vae: VAE, batches: Sequence[Batch], z: Tensor, examples: Tensor) -> Tensor:
    """Return log Σ_n q(z|x_n) over all images except the one z was drawn from, float64 (points, columns)."""
    total: Tensor | None = None
    for batch in batches:
        q = vae.encode(pixels(batch.images))
        images = len(batch.images)
        rows = max(1, _NUMBERS // (images * z.shape[-1]))
        parts = []
        for part, example in zip(z.split(rows), examples.split(rows), strict=True):
            density = _densities(q, part.unsqueeze(1).expand(-1, images, -1))
            density = density.masked_fill((example.unsqueeze(1) == batch.examples).unsqueeze(-1), -math.inf)
            parts.append(torch.logsumexp(density, 1).double().cpu())
        mine = torch.cat(parts)
        total = mine if total is None else torch.logaddexp(total, mine)
    assert total is not None
    return total


def _densities(q: LatentDistribution, z: Tensor) -> Tensor:
    """Return log q(z), then log q(z_j) of each dimension if q factorises: (..., 1 + latent_dim) or (..., 1)."""
    base = factors(q)
    if base is None:
        return q.log_prob(z).unsqueeze(-1)
    each = base.log_prob(z)
    return torch.cat([each.sum(-1, keepdim=True), each], -1)


def _prior_densities(vae: VAE, z: Tensor) -> list[Tensor]:
    prior = vae.prior()
    base = factors(prior)
    return [prior.log_prob(z).unsqueeze(1), *([] if base is None else [base.log_prob(z)])]


def factors(q: object) -> Distribution | None:
    """Return the distribution of each dimension if q is a product over dimensions, else None."""
    if isinstance(q, Independent) and q.reinterpreted_batch_ndims == 1:
        base: Distribution = q.base_dist
        return base
    return None
