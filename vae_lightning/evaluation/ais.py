"""log p(x) by annealed importance sampling: a check of the nll that does not depend on the encoder (Wu et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_lightning.data.images import Batch, pixels
from vae_lightning.errors import LARGEST_INT
from vae_lightning.evaluation.at_once import check_images, images_at_once, split_batches
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, Noise, UnbatchedNoise, derive_seed

TARGET = 0.65  # target acceptance rate of HMC (Neal 2011)
PILOT = 50  # simulated images for tuning the step sizes


@dataclass(frozen=True)
class Path:
    """The geometric path f_t(z) = p(z) p(x|z)^β_t from the prior (β = 0) to p(z, x) (β = 1), and how HMC moves at each β_t.

    Args:
        betas: β_0 … β_steps, (steps + 1,).
        step_sizes: leapfrog step sizes at β_1 … β_steps, (steps,).
        leapfrog: leapfrog steps of a proposal.
    """

    betas: Tensor
    step_sizes: Tensor
    leapfrog: int


def evaluate_ais(
    vae: VAE,
    batches: Iterable[Batch],
    split: str,
    chains: int = 4,
    steps: int = 300,
    leapfrog: int = 5,
    simulated: int = 50,
    progress: Callable[[int], None] = lambda images: None,
    nll: Tensor | None = None,
) -> MeasureResult:
    """Estimate −log p(x) by annealed importance sampling (Neal 2001).

    - ais: −log (1/chains) Σ w, where each weight w is an unbiased estimate of p(x). In expectation at least −log p(x).
    - ais_gap: upper minus lower bound of log p(x) on images simulated from the model, where a chain run backwards from the exact
      posterior sample gives the upper bound (Grosse et al. 2015). It limits how far off either bound is there.
    - ais_minus_nll: the mean difference to the nll of the same images. Its standard error is small, since what the two share
      cancels. Below 0, AIS found the tighter bound.

    Step sizes are tuned on other simulated images and then fixed, so that the weights stay unbiased.

    Args:
        vae: the VAE.
        batches: the images.
        split: the name of their split, which seeds the noise.
        chains: chains per image.
        steps: steps from the prior to the posterior.
        leapfrog: leapfrog steps of a move.
        simulated: images to simulate for the gap.
        progress: called with the number of images done.
        nll: the nll of the same images by importance sampling, (images,); NaN if it was not measured.

    Returns:
        The metrics in nats per image, with standard errors over images.
    """
    check_images("ais.chains", chains, vae.shape)
    path = tuned_path(vae, steps, leapfrog)
    values = []
    for batch in split_batches(batches, images_at_once(vae.shape, LARGEST_INT, chains)):
        x, noise = pixels(batch.images), evaluation_noise(batch, split, "ais")
        values.append(-_forward(vae, x, path, chains, noise).cpu())
        progress(len(x))
    found = MeasureResult()
    found.add_mean("ais", torch.cat(values))
    if nll is not None and (both := nll.isfinite()).any():
        found.add_mean("ais_minus_nll", (torch.cat(values) - nll)[both])
    lower, upper = bidirectional(vae, path, simulated, chains)
    found.add_mean("ais_gap", upper - lower)
    found.values |= {"ais_images": sum(len(v) for v in values), "ais_chains": chains, "ais_steps": steps}
    return found


def bidirectional(vae: VAE, path: Path, simulated: int, chains: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Bound log p(x) from below and above on images simulated from the model (Grosse et al. 2015).

    Args:
        vae: the VAE.
        path: the annealing path, see `tuned_path`.
        simulated: images to simulate.
        chains: chains per image.
        seed: seed of the images and the noise.

    Returns:
        The lower and the upper bound of each image in nats, (simulated,) each, float64.
    """
    bounds = []
    for part in torch.arange(simulated).split(images_at_once(vae.shape, simulated, chains)):
        first = int(part[0])
        purpose = ("simulated", first) if first else ("simulated",)
        z, x = simulate(vae, len(part), derive_seed(seed, "ais", *purpose))
        examples = part.to(z.device)
        lower = _forward(vae, x, path, chains, ExampleNoise(examples, derive_seed(seed, "ais", "forward")))
        upper = _reverse(vae, x, z, path, chains, ExampleNoise(examples, derive_seed(seed, "ais", "reverse")))
        bounds.append(torch.stack([lower, upper]).cpu())
    lower, upper = torch.cat(bounds, 1)
    return lower, upper


def tuned_path(vae: VAE, steps: int, leapfrog: int, seed: int = 0) -> Path:
    """Make a sigmoid schedule of β (Wu et al. 2017, section 5), its step sizes tuned so that about 65% of proposals are accepted.

    Args:
        vae: the VAE.
        steps: steps from the prior to the posterior.
        leapfrog: leapfrog steps of a move.
        seed: seed of the simulated images and the moves.
    """
    device = next(vae.parameters()).device
    ramp = torch.sigmoid(torch.linspace(-4, 4, steps + 1, dtype=torch.float64))
    betas = ((ramp - ramp[0]) / (ramp[-1] - ramp[0])).float().to(device)
    _, x = simulate(vae, PILOT, derive_seed(seed, "ais", "pilot"))
    noise = ExampleNoise(torch.arange(PILOT, device=device), derive_seed(seed, "ais", "tuning"))
    z, size, sizes = _prior_sample(vae, PILOT, noise, (1,)), 0.1, []
    for t, beta in enumerate(betas[1:]):
        for _ in range(30 if t == 0 else 1):  # tune a guess at the prior, then follow the path
            z, accepted = _move(vae, x, z, beta, torch.as_tensor(size, device=device), leapfrog, noise)
            size *= math.exp(0.2 * (accepted.mean().item() - TARGET))
        sizes.append(size)
    return Path(betas, torch.tensor(sizes, device=device), leapfrog)


@torch.no_grad()
def simulate(vae: VAE, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw z ~ p(z) and x ~ p(x|z), so that z is an exact posterior sample; torch's global generator is left as it was.

    Args:
        vae: the VAE.
        count: number of images.
        seed: seed of the draws.

    Returns:
        z (count, latent_dim) and x (count, channels, height, width).
    """
    device = next(vae.parameters()).device
    z = _prior_sample(vae, count, ExampleNoise(torch.arange(count, device=device), seed))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return z, vae.decode(z).sample()


@torch.no_grad()
def _prior_sample(vae: VAE, count: int, noise: Noise, chains: tuple[int, ...] = ()) -> Tensor:
    """Draw z ~ p(z), (*chains, count, latent_dim)."""
    return vae.prior().rsample((*chains, count), UnbatchedNoise(noise))


def _forward(vae: VAE, x: Tensor, path: Path, chains: int, noise: ExampleNoise) -> Tensor:
    """Log mean weight of chains from the prior to the posterior, (batch,): in expectation at most log p(x)."""
    log_w = _anneal(vae, x, _prior_sample(vae, len(x), noise, (chains,)), path, noise, 1)
    return torch.logsumexp(log_w, 0) - math.log(chains)


def _reverse(vae: VAE, x: Tensor, z: Tensor, path: Path, chains: int, noise: ExampleNoise) -> Tensor:
    """Minus the log mean weight of chains from a posterior sample to the prior, (batch,): in expectation at least log p(x)."""
    log_w = _anneal(vae, x, z.expand(chains, *z.shape), path, noise, -1)
    return -(torch.logsumexp(log_w, 0) - math.log(chains))


def _anneal(vae: VAE, x: Tensor, z: Tensor, path: Path, noise: Noise, direction: int) -> Tensor:
    """Log weights of chains that start at z (chains, batch, latent_dim), float64 (chains, batch).

    Forwards (direction 1): Σ_t (β_t − β_{t−1}) log p(x|z_{t−1}), where z moves under f_t after its weight is taken. Backwards
    (direction −1): the same with the sign flipped, where z moves under f_t first, as in the reversed chain.
    """
    log_w = torch.zeros(z.shape[:-1], dtype=torch.float64, device=x.device)
    steps = range(len(path.step_sizes))
    for t in steps if direction > 0 else reversed(steps):
        low, high, size = path.betas[t], path.betas[t + 1], path.step_sizes[t]
        if direction < 0:
            z, _ = _move(vae, x, z, high, size, path.leapfrog, noise)
        with torch.no_grad():
            log_w += direction * ((high - low) * vae.decode(z).log_prob(x)).double()
        if direction > 0:
            z, _ = _move(vae, x, z, high, size, path.leapfrog, noise)
    return log_w


def _move(vae: VAE, x: Tensor, z: Tensor, beta: Tensor, size: Tensor, leapfrog: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """One step of Hamiltonian Monte Carlo, which leaves f ∝ p(z) p(x|z)^β invariant.

    Returns:
        The new z, (chains, batch, latent_dim), and whether each proposal was accepted, (chains, batch).
    """
    chains = tuple(z.shape[:-2])
    momentum = noise.normal(z[0], chains)
    log_f, gradient = _potential(vae, x, z, beta)
    end, kick = z, momentum
    before = log_f - 0.5 * momentum.square().sum(-1)
    for _ in range(leapfrog):
        kick = kick + 0.5 * size * gradient
        end = end + size * kick
        log_f, gradient = _potential(vae, x, end, beta)
        kick = kick + 0.5 * size * gradient
    after = log_f - 0.5 * kick.square().sum(-1)
    u = noise.uniform(z[0, :, :1], chains)[..., 0]
    accepted = (u.log() < after - before) & after.isfinite()
    return torch.where(accepted.unsqueeze(-1), end, z), accepted.float()


def _potential(vae: VAE, x: Tensor, z: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Return the potential log p(z) + β log p(x|z), (batch,), and its gradient with respect to z."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        log_f = vae.prior().log_prob(z) + beta * vae.decode(z).log_prob(x)
        (gradient,) = torch.autograd.grad(log_f.sum(), z)
    return log_f.detach(), gradient
