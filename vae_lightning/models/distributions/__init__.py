"""Distributions over latents that draw from a given `Noise`: what posteriors and priors are made of.

`DiagonalNormal.rsample` in `base` is the reparameterisation trick; `kl_divergence` in `kl` compares any posterior with any prior.
"""
