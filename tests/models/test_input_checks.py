from __future__ import annotations

from typing import Any

import pytest
import torch

from vae_lightning.errors import UserError
from vae_lightning.models.architectures import MLP
from vae_lightning.models.input_checks import RECONSTRUCTED
from vae_lightning.models.likelihoods import Bernoulli, Gaussian, Likelihood
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.objectives import Objective

SHAPE = (1, 3, 4)


def _vae(likelihood: type[Likelihood] = Bernoulli) -> VAE:
    return VAE(MLP([4]), Diagonal(2), StandardNormal(2), likelihood(SHAPE))


X = torch.rand(5, *SHAPE)
NAN = X.clone()
NAN[2, 0, 1, 1] = float("nan")


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (X * 255, r"^x has values from .* to 2\d\d\.?\d*: they must be pixels in \[0, 1\]; divide by 255\.$"),
        ((X * 255).byte(), r"^x is uint8: it must be float values in \[0, 1\]; pass x\.float\(\) / 255\.$"),
        (X > 0.5, r"^x is bool: it must be float values in \[0, 1\]; pass x\.float\(\)\.$"),
        (X.double(), r"^x is float64: it must be float values in \[0, 1\]; pass x\.float\(\)\.$"),
        (NAN, r"^x holds NaN or infinity: all values must be finite\.$"),
        ((X - 0.13) / 0.31, r"^x has values from -0\.\d+ to 2\.\d+: they must be pixels in \[0, 1\]\.$"),
        (X[0], r"^x has the shape \(1, 3, 4\): it must be \(batch, 1, 3, 4\)\.$"),
        (X.transpose(2, 3), r"^x has the shape \(5, 1, 4, 3\): it must be \(batch, 1, 3, 4\)\.$"),
        (X.numpy(), r"^x is a ndarray: it must be a tensor, \(batch, 1, 3, 4\)\.$"),
    ],
)
def test_what_is_no_image_is_refused(x: Any, sentence: str) -> None:
    vae = _vae()
    for call in (vae, vae.elbo, vae.encode, vae.reconstruct, lambda x: Objective()(vae, x)):
        with pytest.raises(UserError, match=sentence):
            call(x)


def test_what_rounding_does_is_allowed() -> None:
    vae = _vae()
    vae.encode(X * 1.00005)
    vae.encode(vae.reconstruct(X))
    vae.half().encode(X.half())


def test_a_density_of_any_numbers_takes_them_unless_it_was_trained_on_images() -> None:
    vae = _vae(Gaussian)
    vae.encode(X * 255)
    vae.slack = RECONSTRUCTED  # as `load` sets it
    vae.encode(X * 1.2 - 0.1)  # such as a reconstruction
    with pytest.raises(UserError, match="they must be pixels in"):
        vae.encode(X * 255)
    with pytest.raises(UserError, match="holds NaN"):
        vae.encode(NAN)
