"""`objective`: a bound, the estimator of its gradient, the form of its KL and a penalty. Plain torch."""

from __future__ import annotations

from torch import Tensor, nn

from vae_lightning.abilities import DENSITY, require
from vae_lightning.bounds import Draws
from vae_lightning.errors import UserError
from vae_lightning.noise import Noise
from vae_lightning.objectives.bound import ELBO, Bound
from vae_lightning.objectives.gradient import Gradient, Reparameterised
from vae_lightning.objectives.kl import KL, Plain
from vae_lightning.objectives.penalty import NoPenalty, Penalty
from vae_lightning.vae import VAE

Losses = dict[str, Tensor]  # scalars by name, means over the batch in nats per image; `loss` is what is minimised


class Objective(nn.Module):
    """loss = −bound(x; β, kl) + penalty, averaged over the batch; by default the ELBO with its KL weighted by β.

    Answers with `Losses`: `loss`; `reconstruction` = −E_q[log p(x|z)] and, where q has a density, `kl` = KL(q(z|x) ‖ p(z)), the
    ELBO's terms at β = 1, and with several layers of latents `kl_z1`, `kl_z2` …, which add up to it; and whatever else its parts
    report. UserError where parts do not go together.
    """

    def __init__(
        self,
        bound: Bound | None = None,
        gradient: Gradient | None = None,
        kl: KL | None = None,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        self.bound, self.gradient = bound or ELBO(), gradient or Reparameterised()
        self.kl, self.penalty = kl or Plain(), penalty or NoPenalty()
        if self.kl.reweighs and not self.bound.has_kl_term:
            raise UserError(f"{self.kl.option} does not go with {self.bound.option}: its bound has no KL term of its own.")

    def uses_beta(self, vae: VAE) -> bool:
        """Whether β does anything here."""
        return self.penalty.takes_beta or (self.bound.has_kl_term and DENSITY in vae.posterior.abilities)

    def check(self, vae: VAE) -> None:
        """UserError where a part needs what the VAE's posterior or prior cannot do."""
        for part in (self.bound, self.gradient, self.kl, self.penalty):
            require(part, part.needs, vae.posterior, vae.latent_prior)

    def forward(
        self, vae: VAE, x: Tensor, beta: float | Tensor = 1.0, noise: Noise | None = None, c: Tensor | None = None
    ) -> Losses:
        draws = Draws(vae, x, self.bound.samples, noise, c, self.gradient.log_q)
        kl_weight, penalty_weight = (1.0, beta) if self.penalty.takes_beta else (beta, 1.0)
        losses = {"reconstruction": draws.reconstruction.mean()}
        if draws.has_kl:
            losses["kl"] = draws.kl.mean()
            losses |= {f"kl_{name}": kl.mean() for name, kl in draws.kl_parts.items()}
        loss = self.bound(draws, self.kl, kl_weight, self.gradient)
        penalty, reported = self.penalty(draws, penalty_weight, noise)
        return {"loss": loss + penalty, **losses, **self.bound.report(loss), **reported}
