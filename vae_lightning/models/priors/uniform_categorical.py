"""`prior=uniform_categorical`: every class is equally likely."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE
from vae_lightning.errors import check_int
from vae_lightning.models.distributions.one_hot import OneHots, space
from vae_lightning.models.priors.base import Encode, Prior


class UniformCategorical(Prior):
    """p(z) = K^(−V) for V `variables` of K `classes`; z is their one-hot vectors, V·K numbers."""

    option = "prior=uniform_categorical"
    capabilities = frozenset({DENSITY, DENSITY_ANYWHERE})
    log_probs: Tensor

    def __init__(self, variables: int, classes: int = 10) -> None:
        super().__init__()
        self.latent_dim = check_int("variables", variables) * check_int("classes", classes, 2)
        self.space = space(variables, classes)
        self.register_buffer("log_probs", torch.full((variables, classes), -math.log(classes)), persistent=False)

    def forward(self, encode: Encode | None = None) -> OneHots:
        return OneHots(self.log_probs)
