"""`objective/penalty=rae`: the regularised auto-encoder's terms (Ghosh et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.errors import check_choice, check_number
from vae_lightning.noise import Noise
from vae_lightning.objectives.penalty.base import Penalty
from vae_lightning.objectives.terms import ELBOTerms

REGULARISERS = ("gradient", "weights")


class RAEPenalty(Penalty):
    """β·½‖z‖² + λ·L (Ghosh et al. 2020), for posterior=delta, where no KL keeps the codes near the origin.

    ½‖z‖² is −log p(z) of a standard normal up to a constant, so β weights it as it weights the KL elsewhere. L keeps the decoder
    smooth. For "gradient" it is ‖∂E[x|z]/∂z‖² summed over pixels and latent dimensions, the squared Frobenius norm of the
    Jacobian J, estimated with one random direction v ~ N(0, I): E‖Jᵀv‖² = ‖J‖². For "weights" it is Σ θ² over the decoder's
    parameters. Logs `code_norm` = ½‖z‖² and `smoothness` = L.

    Args:
        regulariser: "gradient" or "weights".
        weight: λ.
    """

    option = "objective/penalty=rae"
    weighted_by_beta = True

    def __init__(self, regulariser: str = "gradient", weight: float = 0.01) -> None:
        super().__init__()
        self.regulariser = check_choice("regulariser", regulariser, REGULARISERS)
        self.weight = check_number("weight", weight, 0)

    def forward(self, terms: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        code_norm = 0.5 * terms.z.square().sum(-1).mean()
        smoothness = squared_jacobian(terms, noise) if self.regulariser == "gradient" else squared_weights(terms)
        return beta * code_norm + self.weight * smoothness, {"code_norm": code_norm, "smoothness": smoothness}


def squared_weights(terms: ELBOTerms) -> Tensor:
    """Return Σ θ² over the decoder's parameters, a scalar."""
    return torch.stack([weight.square().sum() for weight in terms.vae.decoder.parameters()]).sum()


@torch.compiler.disable  # compiled code cannot be differentiated twice
def squared_jacobian(terms: ELBOTerms, noise: Noise | None) -> Tensor:
    """Estimate ‖∂E[x|z]/∂z‖² as ‖Jᵀv‖² with one v ~ N(0, I) per image: a differentiable scalar, the mean over the batch."""
    z = terms.z[0]
    z = z if z.requires_grad else z.detach().requires_grad_()  # for a frozen encoder
    image = terms.vae.decode(z, terms.c).mean
    v = noise.normal(image) if noise else torch.randn_like(image)
    (gradient,) = torch.autograd.grad((image * v).sum(), z, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
