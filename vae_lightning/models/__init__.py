"""The VAE and its parts, in plain torch: usable in a notebook without Lightning or Hydra.

`VAE` is in `models/vae.py`. Its parts, a folder for each family: `architectures` (encoder and decoder networks), `posteriors`
(q(z|x)), `priors` (p(z)), `likelihoods` (p(x|z)), `hierarchies` (several stochastic layers), `conditions` (labels),
`samplers` (densities fitted to codes after training) and `distributions` (what posteriors, priors and samplers are made of).
"""

from vae_lightning.models import architectures, conditions, distributions, hierarchies, likelihoods, posteriors, priors, samplers
from vae_lightning.models.vae import VAE, VAELoss

__all__ = [
    "VAE",
    "VAELoss",
    "architectures",
    "conditions",
    "distributions",
    "hierarchies",
    "likelihoods",
    "posteriors",
    "priors",
    "samplers",
]
