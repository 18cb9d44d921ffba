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
    """β·½‖z‖² + λ·L (Ghosh et al. 2020), λ = `weight`; meant for posterior=delta, where no KL holds the codes.

    L keeps the decoder smooth. gradient: ‖∂E[x|z]/∂z‖² summed over pixels and latent dimensions, the squared Frobenius norm of
    the Jacobian J, by one random direction v ~ N(0, I): E‖Jᵀv‖² = ‖J‖². weights: Σ θ² of the decoder's parameters. β weighs the
    codes as it weighs the KL elsewhere: −log p(z) of a standard normal, but for a constant. Reports `code_norm` = ½‖z‖² and
    `smoothness` = L.
    """

    option = "objective/penalty=rae"
    takes_beta = True

    def __init__(self, regulariser: str = "gradient", weight: float = 0.01) -> None:
        super().__init__()
        self.regulariser = check_choice("regulariser", regulariser, REGULARISERS)
        self.weight = check_number("weight", weight, 0)

    def forward(self, draws: ELBOTerms, beta: float | Tensor, noise: Noise | None) -> tuple[float | Tensor, dict[str, Tensor]]:
        code_norm = 0.5 * draws.z.square().sum(-1).mean()
        smoothness = squared_jacobian(draws, noise) if self.regulariser == "gradient" else squared_weights(draws)
        return beta * code_norm + self.weight * smoothness, {"code_norm": code_norm, "smoothness": smoothness}


def squared_weights(draws: ELBOTerms) -> Tensor:
    """Σ θ² of the decoder."""
    return torch.stack([weight.square().sum() for weight in draws.vae.decoder.parameters()]).sum()


@torch.compiler.disable  # what is compiled cannot be differentiated twice
def squared_jacobian(draws: ELBOTerms, noise: Noise | None) -> Tensor:
    """‖∂E[x|z]/∂z‖², mean over the batch: ‖Jᵀv‖² for one v ~ N(0, I) an image, which can be differentiated again."""
    z = draws.z[0]
    z = z if z.requires_grad else z.detach().requires_grad_()  # a frozen encoder
    image = draws.vae.decode(z, draws.c).mean
    v = noise.normal(image) if noise else torch.randn_like(image)
    (gradient,) = torch.autograd.grad((image * v).sum(), z, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
