"""Likelihoods p(x|z): a likelihood turns the decoder's output into a distribution over images."""

from vae_lightning.models.likelihoods.base import Likelihood
from vae_lightning.models.likelihoods.bernoulli import Bernoulli
from vae_lightning.models.likelihoods.categorical import CategoricalLikelihood
from vae_lightning.models.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vae_lightning.models.likelihoods.discretized_logistic import DiscretizedLogistic
from vae_lightning.models.likelihoods.gaussian import Gaussian
from vae_lightning.models.likelihoods.gaussian_learned import GaussianLearned
from vae_lightning.models.likelihoods.gaussian_optimal import GaussianOptimal
from vae_lightning.models.likelihoods.gaussian_per_pixel import GaussianPerPixel
from vae_lightning.models.likelihoods.laplace import Laplace

__all__ = [
    "Bernoulli",
    "CategoricalLikelihood",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Gaussian",
    "GaussianLearned",
    "GaussianOptimal",
    "GaussianPerPixel",
    "Laplace",
    "Likelihood",
]
