"""`objective/gradient=dreg`: the doubly reparameterised gradient of importance-weighted bounds (Tucker et al. 2019)."""

from __future__ import annotations

from vae_lightning.objectives.gradient.stl import StickingTheLanding


class DoublyReparameterised(StickingTheLanding):
    """Σ_i w̃_i² (∂log w_i/∂z_i)(∂z_i/∂φ) for the encoder, w̃_i = w_i / Σ_j w_j (Tucker et al. 2019).

    The score ∂log q_φ(z_i|x)/∂φ, weighed by w̃_i, has no expectation of 0 as under the ELBO; reparameterised once more, it is
    what turns w̃_i into w̃_i². Unbiased, and its signal-to-noise ratio does not fall with the number of samples. The
    decoder and the prior keep Σ_i w̃_i ∂log p(x, z_i)/∂θ. Under the ELBO, whose weights are constant, it is `stl`.
    """

    option = "objective/gradient=dreg"
    power = 2
