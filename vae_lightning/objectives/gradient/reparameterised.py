"""`objective/gradient=reparameterised`: the gradient of the bound through z = μ + σ·ε (Kingma and Welling 2014)."""

from __future__ import annotations

from vae_lightning.objectives.gradient.base import Gradient


class Reparameterised(Gradient):
    """∇_φ E_q[f(z, φ)] = E_ε[∇_φ f(z(ε, φ), φ)], all of it; the KL by its formula where there is one."""

    option = "objective/gradient=reparameterised"
