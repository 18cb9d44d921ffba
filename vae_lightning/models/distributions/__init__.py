"""Distributions over latents beyond the diagonal Gaussian, each able to draw from a given `Noise`."""
