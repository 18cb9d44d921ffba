"""`sampler=gmm` and `sampler=gaussian`: a Gaussian mixture fitted by expectation maximisation, and a single Gaussian."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_lightning.errors import InvalidValue, check_choice, check_int, check_number
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.full_normal import FullNormal
from vae_lightning.models.distributions.gaussian_mixture import Mixture
from vae_lightning.models.samplers.base import Sampler, rows_of

MOST_COMPONENTS, MOST_ITERATIONS, MOST_NUMBERS = 10_000, 100_000, 10**8
COVARIANCES = {"full": "full", "diagonal": "diag"}  # scikit-learn's names


class GMMSampler(Sampler):
    """q(z) ≈ Σ_k w_k N(z; μ_k, Σ_k), fitted by scikit-learn's expectation maximisation, which starts from k-means.

    Ghosh et al. (2020) draw from ten full Gaussians fitted to the codes of a plain or regularised auto-encoder. With fewer codes
    than components there is a component for each code.

    Args:
        latent_dim: how many numbers z has.
        components: K.
        covariance: "full", or "diagonal" for Σ_k = diag σ²_k.
        iterations: the most iterations.
        tolerance: stop when an iteration raises the mean log-likelihood by less than this, in nats per code.
        floor: added to the variances, which are 1 for all codes together: it keeps a component from shrinking to a single code.
        images: how many training images, evenly spaced, it is fitted to; None for all.
    """

    option = "sampler=gmm"
    log_weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(
        self,
        latent_dim: int,
        components: int = 10,
        covariance: str = "full",
        iterations: int = 200,
        tolerance: float = 0.001,
        floor: float = 1e-6,
        images: int | None = 10_000,
    ) -> None:
        super().__init__(latent_dim, images)
        self.components = check_int("components", components, 1, MOST_COMPONENTS)
        self.covariance = check_choice("covariance", covariance, COVARIANCES)
        self.iterations = check_int("iterations", iterations, 1, MOST_ITERATIONS)
        self.tolerance = check_number("tolerance", tolerance, 0)
        self.floor = check_number("floor", floor, 0, 1, above=True)
        numbers = components * latent_dim ** (2 if covariance == "full" else 1)
        if numbers > MOST_NUMBERS:
            fewer = f"so many that all covariances together have at most {MOST_NUMBERS:,} numbers (covariance=diagonal has fewer)"
            raise InvalidValue("components", components, fewer)
        self._allocate(components)

    def _allocate(self, components: int) -> None:
        """Make the buffers: log w, (K,); μ, (K, d); and factors, the Cholesky factors (K, d, d), or σ, (K, d)."""
        d = self.latent_dim
        unit = torch.eye(d).repeat(components, 1, 1) if self.covariance == "full" else torch.ones(components, d)
        self.register_buffer("log_weights", torch.zeros(components).log_softmax(0))
        self.register_buffer("means", torch.zeros(components, d))
        self.register_buffer("factors", unit)

    def make_room(self, tensors: Mapping[str, Any]) -> None:
        self._allocate(rows_of(tensors.get("log_weights"), self.components) or self.components)

    def fit_standardised(self, codes: Tensor, seed: int) -> str:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        values = codes.numpy() if len(codes) > 1 else codes.repeat(2, 1).numpy()  # it refuses a single one
        found = GaussianMixture(
            min(self.components, len(codes)),
            covariance_type=COVARIANCES[self.covariance],
            tol=self.tolerance,
            reg_covar=self.floor,
            max_iter=self.iterations,
            random_state=seed % 2**32,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said in words below; k-means warns of codes that are equal
            found.fit(values)
        self._allocate(found.n_components)
        covariances = torch.from_numpy(found.covariances_)
        factors = torch.linalg.cholesky(covariances) if self.covariance == "full" else covariances.sqrt()
        self.log_weights.copy_(torch.from_numpy(found.weights_).log())
        self.means.copy_(torch.from_numpy(found.means_))
        self.factors.copy_(factors)
        ended = f"after {found.n_iter_} iterations" if found.converged_ else f"not yet converged after {found.n_iter_} iterations"
        likelihood = float(self.forward().log_prob(self.mean + self.scale * codes.float()).mean())
        return f"{found.n_components} component{'s' * (found.n_components > 1)}, log q(z) = {likelihood:.2f} nats, {ended}"

    def standardised(self) -> LatentDistribution:
        make = FullNormal if self.covariance == "full" else DiagonalNormal
        return Mixture(self.log_weights, lambda index: make(self.means[index], self.factors[index]), self.latent_dim)


class GaussianSampler(GMMSampler):
    """q(z) ≈ N(z; μ, Σ) with the mean and the full covariance of the codes: a mixture of one component.

    Args:
        latent_dim: how many numbers z has.
        images: how many training images, evenly spaced, it is fitted to; None for all.
    """

    option = "sampler=gaussian"

    def __init__(self, latent_dim: int, images: int | None = None) -> None:
        super().__init__(latent_dim, components=1, images=images)
