"""`prior=flow`: a learned normalizing flow."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.capabilities import DENSITY, EVERYTHING, KL_PER_DIMENSION
from vae_lightning.errors import MOST_LAYERS, InvalidValue, check_choice, check_int
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.normalizing_flow import LARGEST_FLOW, FlowDistribution, ZukoBijection, check_flow_sizes
from vae_lightning.models.posteriors.base import sites
from vae_lightning.models.priors.base import Encode, Prior

# names in zuko.flows
KINDS = {"autoregressive": "MAF", "coupling": "NICE", "spline": "NSF"}


class NormalizingFlow(Prior):
    """log p(z) = log N(f(z); 0, I) + log|det ∂f/∂z| with a learned f.

    Densities take one pass; a draw takes latent_dim passes, or two with coupling. On a grid the flow is over the numbers of
    all sites together.

    Args:
        latent_dim: numbers in z, at each site if there is a grid.
        kind: "autoregressive", affine maps of each dimension given those before it (MAF, Papamakarios et al. 2017); "coupling",
            of half of the dimensions given the other half (RealNVP, Dinh et al. 2017), which draws faster; "spline",
            autoregressive rational-quadratic splines (Durkan et al. 2019).
        transforms: number of steps.
        hidden: widths of the masked network of each step.
        grid: the posterior's (h, w); None for a vector.
    """

    option = "prior=flow"
    capabilities = EVERYTHING - {KL_PER_DIMENSION}
    needs = frozenset({DENSITY})
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        latent_dim: int,
        kind: str = "autoregressive",
        transforms: int = 3,
        hidden: list[int] | tuple[int, ...] = (64, 64),
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        numbers = check_int("latent_dim", latent_dim) * sites(grid)
        if grid is not None and numbers > LARGEST_FLOW:
            raise InvalidValue("latent_dim", latent_dim, f"at most {LARGEST_FLOW // sites(grid)} on this grid with {self.option}")
        latent_dim = numbers
        self.latent_dim, steps = latent_dim, check_int("transforms", transforms, 1, MOST_LAYERS)
        name, sizes = KINDS[check_choice("kind", kind, KINDS)], check_flow_sizes(latent_dim, hidden, steps)
        from zuko import flows

        made = getattr(flows, name)(latent_dim, transforms=steps, hidden_features=sizes)
        self.bijection = ZukoBijection(made.transform, generates=False)
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> FlowDistribution:
        return FlowDistribution(DiagonalNormal(self.mean, self.scale), self.bijection)
