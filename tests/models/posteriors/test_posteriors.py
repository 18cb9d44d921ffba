"""What all posteriors have in common, and what some declare about themselves."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

from tests.linear_gaussian import SHAPE, random_images
from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE, KL_PER_DIMENSION
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.models.architectures import MLP
from vae_lightning.models.distributions.base import kl_per_dimension
from vae_lightning.models.distributions.joint_latents import JointLatents
from vae_lightning.models.distributions.one_hot import RelaxedOneHots
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import (
    CategoricalPosterior,
    Diagonal,
    FullCovariance,
    InverseAutoregressive,
    Joint,
    PlanarFlow,
    PointMass,
    Posterior,
    VonMisesFisherPosterior,
)
from vae_lightning.models.priors import (
    GaussianMixture,
    NormalizingFlow,
    Prior,
    Product,
    StandardNormal,
    UniformCategorical,
    UniformSphere,
    VampPrior,
)
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, StreamNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.terms import elbo_terms, log_weights
from vae_lightning.schedules.beta import Constant


def posteriors() -> list[Posterior]:
    joint = Joint(Diagonal(2), CategoricalPosterior(1, 3))
    gaussians = [Diagonal(4), FullCovariance(4), InverseAutoregressive(4), PlanarFlow(4)]
    return [*gaussians, PointMass(4), VonMisesFisherPosterior(4), CategoricalPosterior(2, 3), joint]


def priors(posterior: Posterior) -> list[Prior]:
    if posterior.space == "sphere":
        return [UniformSphere(4), vamp(4)]
    if isinstance(posterior, CategoricalPosterior):
        return [UniformCategorical(2, 3), vamp(6)]
    if isinstance(posterior, Joint):
        parts = [StandardNormal(2), GaussianMixture(2), NormalizingFlow(2)]
        return [*(Product(part, UniformCategorical(1, 3)) for part in parts), vamp(5)]
    return [StandardNormal(4), GaussianMixture(4), NormalizingFlow(4), vamp(4)]


def vamp(numbers: int) -> VampPrior:
    return VampPrior(numbers, SHAPE, 0.5, pseudo_inputs=3)


def vae_of(posterior: Posterior, prior: Prior) -> VAE:
    return VAE(MLP([8]), posterior, prior, Gaussian(SHAPE))


# fmt: off
PAIRS = [
    pytest.param(i, j, id=f"{posterior.option}-{prior.option}")
    for i, posterior in enumerate(posteriors()) for j, prior in enumerate(priors(posterior))
    if prior.needs <= posterior.capabilities
]
# fmt: on


@pytest.mark.parametrize(("i", "j"), PAIRS)
def test_pairs_train_and_are_evaluated(i: int, j: int) -> None:
    posterior = posteriors()[i]
    vae, x = vae_of(posterior, priors(posterior)[j]), random_images(5)
    losses = Objective()(vae, x, 1.0, StreamNoise(torch.Generator(), 0))
    losses["loss"].backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert ("kl" in losses) == (DENSITY in posterior.capabilities)
    vae.eval()
    assert vae.sample(7, StreamNoise(torch.Generator(), 0)).shape == (7, *SHAPE)
    assert vae.sample(2).shape == (2, *SHAPE)  # from torch's global generator, by hand
    assert vae.encode(x).rsample((2,)).shape == (2, 5, vae.latent_dim)
    assert vae.reconstruct(x).isfinite().all()
    draws = elbo_terms(vae, x, ExampleNoise(torch.arange(5), 0), samples=3)
    assert draws.z.shape == (3, 5, vae.latent_dim)
    assert draws.q.mean.shape == (5, vae.latent_dim)
    if draws.has_kl:
        assert draws.elbo.isfinite().all()
        assert log_weights(vae, x, 3, ExampleNoise(torch.arange(5), 0)).shape == (3, 5)
    per_dimension = kl_per_dimension(draws.q, draws.p)
    assert per_dimension is None or KL_PER_DIMENSION in posterior.capabilities & vae.latent_prior.capabilities
    assert draws.z.dtype == torch.float32


@pytest.mark.parametrize("i", range(8))
def test_draws_of_an_example_depend_on_nothing_else(i: int) -> None:
    posterior = posteriors()[i].eval()
    features = torch.randn(4, posterior.features)
    whole = posterior(features).rsample((3,), ExampleNoise(torch.arange(4), 1))
    part = posterior(features[1:3]).rsample((3,), ExampleNoise(torch.tensor([1, 2]), 1))
    torch.testing.assert_close(whole[:, 1:3], part)


@pytest.mark.parametrize("i", [i for i, posterior in enumerate(posteriors()) if DENSITY_ANYWHERE in posterior.capabilities])
def test_detached_densities_are_the_same_without_gradients_to_features(i: int) -> None:
    posterior = posteriors()[i].eval()
    features = torch.randn(4, posterior.features, requires_grad=True)
    q = posterior(features)
    z = q.rsample((3,), StreamNoise(torch.Generator(), 0)).detach()
    torch.testing.assert_close(q.detached().log_prob(z), q.log_prob(z), atol=1e-4, rtol=1e-4)
    assert q.log_prob(z).requires_grad
    assert not q.detached().log_prob(z).requires_grad


@pytest.mark.parametrize(
    ("posterior", "prior", "message"),
    [
        (VonMisesFisherPosterior(4), StandardNormal(4), r"fisher is incompatible with prior=standard.*\(sphere\).*\(real\)"),
        (Diagonal(4), UniformSphere(4), "posterior=diagonal is incompatible with prior=uniform_sphere"),
        (Diagonal(4), StandardNormal(5), "4 numbers .* 5"),
        (CategoricalPosterior(2, 3), UniformCategorical(3, 2), "2 categorical of 3 classes.*3 categorical of 2 classes"),
        (Joint(Diagonal(2), CategoricalPosterior(1, 3)), StandardNormal(5), "joint is incompatible with prior=standard_normal"),
        (PointMass(4), GaussianMixture(4), "prior=mixture is incompatible with posterior=delta: it needs a density"),
        (PointMass(4), vamp(4), "prior=vamp is incompatible with posterior=delta"),
        (PlanarFlow(4), vamp(4), r"prior=vamp is incompatible with posterior=planar: it needs a density q\(z\|x\) at any z"),
    ],
)  # fmt: skip
def test_pairs_that_make_no_sense_are_refused(posterior: Posterior, prior: Prior, message: str) -> None:
    with pytest.raises(UserError, match=message):
        vae_of(posterior, prior)


def test_a_plain_auto_encoder_is_trained_on_its_reconstruction() -> None:
    vae, x = vae_of(PointMass(4), StandardNormal(4)), random_images(5)
    losses = Objective()(vae, x, beta=7.0)
    assert set(losses) == {"loss", "reconstruction"}
    assert torch.equal(losses["loss"], losses["reconstruction"])
    z = vae.encode(x).rsample((2,), StreamNoise(torch.Generator(), 0))
    assert torch.equal(z[0], z[1])
    assert torch.equal(z[0], vae.encode(x).mean)


def test_categorical_is_relaxed_in_training_and_exact_in_evaluation() -> None:
    posterior, features = CategoricalPosterior(2, 3, temperature=Constant(0.7)), torch.randn(4, 6)
    q = posterior(features)
    assert isinstance(q, RelaxedOneHots)
    assert q.temperature.item() == pytest.approx(0.7)
    assert ((z := q.rsample((9,))) > 0).all()
    assert not torch.equal(z, z.round())
    z = posterior.eval()(features).rsample((9,))
    assert torch.equal(z.unflatten(-1, (2, 3)).sort(-1).values, torch.tensor([0.0, 0.0, 1.0]).expand(9, 4, 2, 3))
    torch.testing.assert_close(posterior(features).mean, features.view(4, 2, 3).softmax(-1).flatten(1))


def test_joint_codes_are_their_parts() -> None:
    posterior = Joint(Diagonal(2), CategoricalPosterior(1, 3)).eval()
    prior = Product(StandardNormal(2), UniformCategorical(1, 3))
    features = torch.randn(4, posterior.features)
    q, p = posterior(features), prior()
    first, second = posterior.continuous(features[:, :4]), posterior.discrete(features[:, 4:])
    z = q.rsample((6,), StreamNoise(torch.Generator(), 0))
    assert set(z[..., 2:].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(q.log_prob(z), first.log_prob(z[..., :2]) + second.log_prob(z[..., 2:]))
    parts = kl_divergence(first, StandardNormal(2)()), kl_divergence(second, UniformCategorical(1, 3)())
    torch.testing.assert_close(kl_divergence(q, p), sum(parts))
    assert p.log_prob(z).shape == (6, 4)
    vae = vae_of(Joint(Diagonal(2), CategoricalPosterior(1, 3)), prior)
    losses = Objective()(vae, random_images(5))
    torch.testing.assert_close(losses["kl"], losses["kl_continuous"] + losses["kl_discrete"])


@pytest.mark.parametrize(
    ("continuous", "prior"), [(PlanarFlow(3), StandardNormal(3)), (Diagonal(3), GaussianMixture(3))], ids=["planar", "mixture"]
)
def test_a_part_of_a_joint_code_without_a_formula_leaves_the_others_theirs(continuous: Posterior, prior: Prior) -> None:
    """The continuous part's KL is estimated from the draws; the discrete part's is exact, even for relaxed draws."""
    torch.manual_seed(0)
    vae = vae_of(Joint(continuous, CategoricalPosterior(1, 3)), Product(prior, UniformCategorical(1, 3)))
    draws = elbo_terms(vae, random_images(4), StreamNoise(torch.Generator(), 0), samples=3)
    assert isinstance(draws.q, JointLatents)
    assert isinstance(draws.p, JointLatents)
    q, p = draws.q.parts, draws.p.parts
    exact = kl_divergence(q["discrete"], p["discrete"])  # type: ignore[arg-type]
    torch.testing.assert_close(draws.kl_by_part["discrete"], exact)
    relaxed = (q["discrete"].log_prob(draws.z[..., 3:]) - p["discrete"].log_prob(draws.z[..., 3:])).mean(0)
    assert not torch.allclose(exact, relaxed)
    both = (draws.log_qz - draws.log_pz).mean(0)
    torch.testing.assert_close(draws.kl_by_part["continuous"], both - relaxed)
    torch.testing.assert_close(draws.kl, draws.kl_by_part["continuous"] + exact)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: VonMisesFisherPosterior(1), "latent_dim"),
        (lambda: UniformSphere(1), "latent_dim"),
        (lambda: CategoricalPosterior(0), "variables"),
        (lambda: CategoricalPosterior(1, 1), "classes"),
        (lambda: CategoricalPosterior(1, 2, hard=1), "hard"),  # type: ignore[arg-type]
        (lambda: CategoricalPosterior(1, 2, temperature=0.0), "temperature"),
        (lambda: PlanarFlow(2, 0), "steps"),
        (lambda: InverseAutoregressive(2, hidden=[]), "hidden"),
        (lambda: NormalizingFlow(2, "splines"), "kind"),
        (lambda: GaussianMixture(2, 0), "components"),
        (lambda: VampPrior(2, SHAPE, 0.5, starts_from="images"), "starts_from"),
        (lambda: Product(vamp(2), UniformCategorical(1)), "continuous"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(build, name: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^{name}="):
        build()
