"""Distributions over latents that draw from a given `Noise`: what posteriors and priors are made of.

`DiagonalNormal.rsample` in `diagonal_normal` is the reparameterisation trick, and `_kl_to_unit` there the closed-form KL between
Gaussians; `kl_divergence` in `divergence` is the KL of any posterior and prior.
"""
