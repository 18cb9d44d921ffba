"""Samplers: what new codes z are drawn from once a model is trained, the prior or a density fitted to its codes."""

from vae_lightning.models.samplers.base import Sampler
from vae_lightning.models.samplers.flow import FlowSampler
from vae_lightning.models.samplers.gmm import GaussianSampler, GMMSampler
from vae_lightning.models.samplers.kde import KDESampler
from vae_lightning.models.samplers.per_class import PerClass
from vae_lightning.models.samplers.prior import PriorSampler
from vae_lightning.models.samplers.two_stage import TwoStageSampler

__all__ = [
    "FlowSampler",
    "GMMSampler",
    "GaussianSampler",
    "KDESampler",
    "PerClass",
    "PriorSampler",
    "Sampler",
    "TwoStageSampler",
]
