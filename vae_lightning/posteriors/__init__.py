"""q(z|x): a posterior turns the encoder's features into a distribution over latents.

A posterior is a module with `features` (how many the encoder must produce) and `forward(features)` → a distribution whose
`rsample(sample_shape, noise)` draws from a given `Noise`.
"""

from vae_lightning.posteriors.diagonal import Diagonal

__all__ = ["Diagonal"]
