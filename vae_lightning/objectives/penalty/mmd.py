"""`objective/penalty=mmd`: distance of the codes from the prior, by a kernel (Zhao et al. 2017; Tolstikhin et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_lightning.errors import InvalidValue, check_choice, check_number
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms


def imq(squared: Tensor, c: float) -> Tensor:
    """Return the inverse multiquadratic kernel of the squared distance."""
    return c / (c + squared)


def rbf(squared: Tensor, c: float) -> Tensor:
    """Return the Gaussian kernel of the squared distance."""
    return torch.exp(-squared / c)


KERNELS = {"imq": imq, "rbf": rbf}


class MMDPenalty(Penalty):
    """λ·MMD²(q(z), p(z)) = λ·(E k(z, z') + E k(u, u') − 2 E k(z, u)) for z, z' ~ q(z) and u, u' ~ p(z).

    With KL weight β = 1 − α and λ = α + λ' − 1 it is InfoVAE (Zhao et al. 2017); beta=0 is their MMD-VAE and the WAE-MMD of
    Tolstikhin et al. (2018, algorithm 2). k(a, b) is the sum over scales s of C/(C + ‖a − b‖²) (imq) or exp(−‖a − b‖²/C) (rbf)
    with C = 2·latent_dim·s; 2·latent_dim is E‖u − u'‖² of a standard normal. Logs `mmd` = MMD², which is not in nats.

    Args:
        weight: λ.
        kernel: "imq" or "rbf".
        scales: the scales s that are summed over.
    """

    option = "objective/penalty=mmd"
    matches_prior = True

    def __init__(
        self, weight: float = 100.0, kernel: str = "imq", scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    ) -> None:
        super().__init__()
        self.weight = check_number("weight", weight, 0)
        self.kernel = KERNELS[check_choice("kernel", kernel, KERNELS)]
        if isinstance(scales, str) or not isinstance(scales, Sequence) or not scales:
            raise InvalidValue("scales", scales, "a list of numbers above 0")
        self.scales = [check_number("scales", scale, 0, above=True) for scale in scales]

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        z = terms.z[0].float()
        u = terms.p.rsample(() if terms.p.batch_shape else (len(z),), noise)
        mmd = self.mmd(z, u)
        return self.weight * mmd, {"mmd": mmd}

    def mmd(self, z: Tensor, u: Tensor) -> Tensor:
        """Estimate MMD² from z and u, (n, latent_dim) each, unbiased: without pairs of a code with itself (Gretton et al.)."""
        pairs = max(len(z) * (len(z) - 1), 1)
        diagonal = len(z) * len(self.scales)  # k(a, a) = 1 at each scale
        within = self.k(z, z).sum() + self.k(u, u).sum() - 2 * diagonal
        return within / pairs - 2 * self.k(z, u).mean()

    def k(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel of every pair, (n, n)."""
        squared = (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(2)
        return torch.stack([self.kernel(squared, 2 * a.shape[1] * scale) for scale in self.scales]).sum(0)
