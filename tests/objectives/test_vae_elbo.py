"""`VAE.elbo` tells the story in one place; training uses `Objective`. Both must give the same numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.linear_gaussian import random_images
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.conditions import Label
from vae_lightning.models.hierarchies import Ladder, TwoLayer
from vae_lightning.models.likelihoods import Bernoulli, CategoricalLikelihood, Gaussian, GaussianOptimal, Likelihood
from vae_lightning.models.posteriors import (
    CategoricalPosterior,
    Diagonal,
    FullCovariance,
    Joint,
    PlanarFlow,
    PointMass,
    Posterior,
    VonMisesFisherPosterior,
)
from vae_lightning.models.priors import (
    GaussianMixture,
    Prior,
    Product,
    StandardNormal,
    UniformCategorical,
    UniformSphere,
    VampPrior,
)
from vae_lightning.noise import ExampleNoise
from vae_lightning.objectives import Objective

SHAPE = (2, 5, 3)
IMAGES = 6

POSTERIOR_AND_PRIOR: dict[str, Callable[[], tuple[Posterior, Prior]]] = {
    "diagonal": lambda: (Diagonal(4), StandardNormal(4)),
    "full_covariance": lambda: (FullCovariance(4), StandardNormal(4)),
    "mixture": lambda: (Diagonal(4), GaussianMixture(4)),
    "vamp": lambda: (Diagonal(4), VampPrior(4, SHAPE, 0.3, pseudo_inputs=5)),
    "planar": lambda: (PlanarFlow(4), StandardNormal(4)),
    "sphere": lambda: (VonMisesFisherPosterior(4), UniformSphere(4)),
    "joint": lambda: (
        Joint(Diagonal(3), CategoricalPosterior(1, 4)),
        Product(StandardNormal(3), UniformCategorical(1, 4)),
    ),
    "joint_estimated": lambda: (
        Joint(Diagonal(3), CategoricalPosterior(1, 4)),
        Product(GaussianMixture(3), UniformCategorical(1, 4)),
    ),
    "two_layer": lambda: TwoLayer(3, [8]).layers(Diagonal(2), StandardNormal(2)),
    "ladder": lambda: Ladder([3], [8]).layers(Diagonal(2), GaussianMixture(2)),
}


def noise() -> ExampleNoise:
    return ExampleNoise(torch.arange(IMAGES), 0)


def assert_equal_to_the_objective(vae: VAE, x: Tensor, c: Tensor | None = None) -> None:
    for beta in (0.0, 1.0, 4.0, torch.tensor(0.3)):
        expected = Objective()(vae, x, beta, noise(), c)
        terms = vae.elbo(x, beta, noise(), c)
        assert torch.equal(terms.loss, expected["loss"])
        assert torch.equal(terms.reconstruction, expected["reconstruction"])
        assert terms.kl is not None
        assert torch.equal(terms.kl, expected["kl"])
        parameters = [parameter for parameter in vae.parameters() if parameter.requires_grad]
        gradients = (torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (terms.loss, expected["loss"]))
        for mine, theirs in zip(*gradients, strict=True):
            assert (mine is None and theirs is None) or torch.equal(mine, theirs)


@pytest.mark.parametrize("name", POSTERIOR_AND_PRIOR)
def test_elbo_equals_the_objective_for_every_kind_of_latent(name: str) -> None:
    torch.manual_seed(0)
    vae = VAE(MLP([16]), *POSTERIOR_AND_PRIOR[name](), Bernoulli(SHAPE))
    assert_equal_to_the_objective(vae, random_images(IMAGES, SHAPE).round())


@pytest.mark.parametrize("likelihood", [Gaussian(SHAPE), CategoricalLikelihood(SHAPE), GaussianOptimal(SHAPE)])
def test_elbo_equals_the_objective_for_other_likelihoods(likelihood: Likelihood) -> None:
    torch.manual_seed(0)
    vae = VAE(MLP([16]), Diagonal(4), StandardNormal(4), likelihood)
    assert_equal_to_the_objective(vae, random_images(IMAGES, SHAPE))


def test_elbo_equals_the_objective_given_labels() -> None:
    torch.manual_seed(0)
    label = Label(3)
    vae = VAE(MLP([16]), Diagonal(4), StandardNormal(4), Bernoulli(SHAPE), label)
    torch.nn.init.normal_(label.shift)
    x, c = random_images(IMAGES, SHAPE), torch.arange(IMAGES) % 3
    assert_equal_to_the_objective(vae, x, c)
    assert not torch.equal(vae.elbo(x, 1.0, noise(), c).loss, vae.elbo(x, 1.0, noise(), (c + 1) % 3).loss)


def test_without_noise_epsilon_comes_from_torch() -> None:
    torch.manual_seed(0)
    vae, x = VAE(MLP([16]), Diagonal(4), StandardNormal(4), Bernoulli(SHAPE)), random_images(IMAGES, SHAPE)
    torch.manual_seed(1)
    terms = vae.elbo(x)
    torch.manual_seed(1)
    assert torch.equal(terms.loss, Objective()(vae, x)["loss"])


def test_calling_the_vae_computes_its_elbo() -> None:
    torch.manual_seed(0)
    vae, x = VAE(MLP([16]), Diagonal(4), StandardNormal(4), Bernoulli(SHAPE)), random_images(IMAGES, SHAPE)
    assert torch.equal(vae(x, 2.0, noise()).loss, vae.elbo(x, 2.0, noise()).loss)
    assert not torch.equal(vae(x, 2.0, noise()).loss, vae(x, noise=noise()).loss)


def test_a_plain_autoencoder_has_no_kl() -> None:
    torch.manual_seed(0)
    vae, x = VAE(MLP([16]), PointMass(4), StandardNormal(4), Gaussian(SHAPE)), random_images(IMAGES, SHAPE)
    terms, expected = vae.elbo(x, 4.0), Objective()(vae, x, 4.0)
    assert terms.kl is None
    assert "kl" not in expected
    assert torch.equal(terms.loss, terms.reconstruction)
    assert torch.equal(terms.loss, expected["loss"])
