"""The training objective: a bound, the estimator of its gradient, the form of its KL term, and a penalty. Plain torch."""

from __future__ import annotations

from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import UserError
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise
from vae_lightning.objectives.base import ObjectiveTerm, OptimizerGroup
from vae_lightning.objectives.bound import ELBO, Bound
from vae_lightning.objectives.gradient import GradientEstimator, Reparameterised
from vae_lightning.objectives.kl import KLTerm, PlainKL
from vae_lightning.objectives.penalty import NoPenalty, Penalty
from vae_lightning.objectives.terms import ELBOTerms

Losses = dict[str, Tensor]  # scalars by name, means over the batch in nats per image; `loss` is minimised


class Objective(nn.Module):
    """loss = −bound(x; β, kl) + penalty, averaged over the batch; by default the ELBO with its KL weighted by β.

    Args:
        bound: the bound on log p(x); None for the ELBO.
        gradient: the gradient estimator; None for the reparameterised one.
        kl: the KL term; None for β·KL.
        penalty: what is added to the loss; None for nothing.

    Raises:
        UserError: two of the parts are incompatible.

    Example:
        losses = Objective(IWAE(samples=5))(vae, x)
        losses["loss"].backward()
    """

    def __init__(
        self,
        bound: Bound | None = None,
        gradient: GradientEstimator | None = None,
        kl: KLTerm | None = None,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        self.bound, self.gradient = bound or ELBO(), gradient or Reparameterised()
        self.kl, self.penalty = kl or PlainKL(), penalty or NoPenalty()
        if self.kl.replaces_beta_kl and not self.bound.has_kl_term:
            raise UserError(f"{self.kl.option} is incompatible with {self.bound.option}, which has no KL term.")
        if self.kl.needs_closed_form and self.gradient.log_q is not None:
            raise UserError(
                f"{self.kl.option} is incompatible with {self.gradient.option}: it uses the formula of the KL, and that gradient "
                "estimates the KL from draws."
            )
        self.split_gradient = self.bound.splits_gradient(self.gradient)

    def uses_beta(self, vae: VAE) -> bool:
        """Whether β has an effect on this loss."""
        weights_kl = self.bound.has_kl_term and self.kl.weighted_by_beta and DENSITY in vae.posterior.capabilities
        return self.penalty.weighted_by_beta or weights_kl

    def check(self, vae: VAE) -> None:
        """Raise UserError if a part needs what the VAE's posterior or prior cannot do."""
        for part in self.parts():
            part.check(vae)

    def set_train_size(self, train_size: int) -> None:
        """Pass the number of training images on to the parts."""
        for part in self.parts():
            part.set_train_size(train_size)

    def parameter_groups(self) -> list[OptimizerGroup]:
        """Parameters of the parts that need their own optimizer settings, in torch's form."""
        return [group for part in self.parts() for group in part.parameter_groups()]

    def parts(self) -> tuple[ObjectiveTerm, ...]:
        """Bound, gradient estimator, KL term and penalty."""
        return self.bound, self.gradient, self.kl, self.penalty

    def parts_in_words(self) -> str:
        """Return the parts as on the command line: `bound=iwae gradient=dreg kl=plain penalty=none`."""
        return " ".join(part.option.removeprefix("objective/") for part in self.parts())

    def forward(
        self, vae: VAE, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None, c: Tensor | None = None
    ) -> Losses:
        """Return the loss of a batch and the values to log.

        Args:
            vae: the model.
            x: images, (batch, channels, height, width).
            beta: β, the weight of the KL, or of the penalty if that is weighted by β.
            noise: where ε comes from; None for torch's global generator.
            c: labels, (batch,), of a conditional VAE.

        Returns:
            Scalars by name, means over the batch in nats per image: `loss`; the ELBO's terms at β = 1, `reconstruction` and, if
            q has a density, `kl`; `kl_<part>` for the parts of a joint code or the layers of a hierarchy, which add up to `kl`;
            and whatever the bound, the KL term and the penalty report.
        """
        terms = ELBOTerms(vae, x, self.bound.samples, noise, c, self.gradient.log_q, self.split_gradient)
        kl_weight, penalty_weight = (1.0, beta) if self.penalty.weighted_by_beta else (beta, 1.0)
        losses = {"reconstruction": terms.mean_reconstruction}
        if terms.has_kl:
            losses["kl"] = terms.mean_kl
            losses |= {f"kl_{name}": kl.mean() for name, kl in terms.kl_by_part.items()}
        # the bound passes kl_weight to the KL term, which multiplies by it: β·KL in `PlainKL.forward` (kl.py)
        loss = self.bound(terms, self.kl, kl_weight, self.gradient)
        penalty, reported = self.penalty(terms, penalty_weight, noise)
        return {"loss": loss + penalty, **losses, **self.bound.report(loss), **self.kl.report(), **reported}
