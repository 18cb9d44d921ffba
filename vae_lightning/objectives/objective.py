"""`objective`: a bound, the estimator of its gradient, the form of its KL and a penalty. Plain torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import UserError
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise
from vae_lightning.objectives.bound import ELBO, Bound
from vae_lightning.objectives.gradient import GradientEstimator, Reparameterised
from vae_lightning.objectives.kl import KLTerm, PlainKL
from vae_lightning.objectives.part import ObjectiveTerm
from vae_lightning.objectives.penalty import NoPenalty, Penalty
from vae_lightning.objectives.terms import ELBOTerms

Losses = dict[str, Tensor]  # scalars by name, means over the batch in nats per image; `loss` is what is minimised


class Objective(nn.Module):
    """loss = −bound(x; β, kl) + penalty, averaged over the batch; by default the ELBO with its KL weighted by β.

    Answers with `Losses`: `loss`; `reconstruction` = −E_q[log p(x|z)] and, where q has a density, `kl` = KL(q(z|x) ‖ p(z)), the
    ELBO's terms at β = 1, with `kl_<part>` for the parts of a joint code or the layers of a hierarchy, which add up to it; and
    whatever else its own parts report. UserError where parts do not go together.
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
        if self.kl.reweighs and not self.bound.has_kl_term:
            raise UserError(f"{self.kl.option} does not go with {self.bound.option}, which has no KL term of its own.")
        if self.kl.by_formula and self.gradient.log_q is not None:
            raise UserError(
                f"{self.kl.option} does not go with {self.gradient.option}: it takes the KL by its formula, and that gradient "
                "takes it from the draws."
            )
        self.apart = self.bound.weighs_apart(self.gradient)

    def uses_beta(self, vae: VAE) -> bool:
        """Whether β does anything here."""
        weighs_kl = self.bound.has_kl_term and self.kl.takes_beta and DENSITY in vae.posterior.capabilities
        return self.penalty.takes_beta or weighs_kl

    def check(self, vae: VAE) -> None:
        """UserError where a part needs what the VAE's posterior or prior cannot do."""
        for part in self.parts():
            part.check(vae)

    def set_train_size(self, train_size: int) -> None:
        """Tells the parts how many training images there are."""
        for part in self.parts():
            part.set_train_size(train_size)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters of the parts that have settings of their own in the optimizer."""
        return [group for part in self.parts() for group in part.parameter_groups()]

    def parts(self) -> tuple[ObjectiveTerm, ...]:
        return self.bound, self.gradient, self.kl, self.penalty

    def parts_in_words(self) -> str:
        """`bound=iwae gradient=dreg kl=plain penalty=none`."""
        return " ".join(part.option.removeprefix("objective/") for part in self.parts())

    def forward(
        self, vae: VAE, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None, c: Tensor | None = None
    ) -> Losses:
        draws = ELBOTerms(vae, x, self.bound.samples, noise, c, self.gradient.log_q, self.apart)
        kl_weight, penalty_weight = (1.0, beta) if self.penalty.takes_beta else (beta, 1.0)
        losses = {"reconstruction": draws.mean_reconstruction}
        if draws.has_kl:
            losses["kl"] = draws.mean_kl
            losses |= {f"kl_{name}": kl.mean() for name, kl in draws.kl_parts.items()}
        loss = self.bound(draws, self.kl, kl_weight, self.gradient)
        penalty, reported = self.penalty(draws, penalty_weight, noise)
        return {"loss": loss + penalty, **losses, **self.bound.report(loss), **self.kl.report(), **reported}
