"""p(x|z): a likelihood turns the decoder's output into a distribution over images.

A likelihood is a module with `out_shape` (what the decoder must produce), `support` ("binary" or "real", which decides how
the data are binarised) and `forward(parameters)` → a `torch.distributions.Distribution` whose event is one image.
"""

from vae_lightning.likelihoods.base import Likelihood
from vae_lightning.likelihoods.bernoulli import Bernoulli
from vae_lightning.likelihoods.gaussian import Gaussian

__all__ = ["Bernoulli", "Gaussian", "Likelihood"]
