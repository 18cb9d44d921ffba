"""Every hierarchy: exact if it can be, the sum of its layers, and a single vector for the rest of the code."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from tests.linear_gaussian import SHAPE, Linear, LinearGaussianLayers, random_batch, random_images
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.evaluation.nll import evaluate_nll
from vae_lightning.models.architectures import MLP
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution, kl_per_layer
from vae_lightning.models.hierarchies import Hierarchy, Ladder, NoHierarchy, TwoLayer
from vae_lightning.models.hierarchies.networks import CombinedGaussian, ConditionalGaussian, precision_weighted
from vae_lightning.models.likelihoods import Bernoulli, Gaussian
from vae_lightning.models.posteriors import Diagonal, Posterior
from vae_lightning.models.priors import ANY, Encode, Prior, StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.terms import ELBOTerms, iwae_bound, log_weights

KINDS = ("bottom_up", "top_down", "ladder")
HIERARCHIES = {
    "bottom_up": TwoLayer(5, [6]),
    "top_down": TwoLayer(5, [6, 7], inference="top_down", decoder_sees="all"),
    "gated": TwoLayer(5, [6, 7], activation="gated", inference="top_down"),
    "ladder": Ladder([5], [6]),
    "ladder of three": Ladder([5, 4], [6, 7]),
}
every_hierarchy = pytest.mark.parametrize("hierarchy", HIERARCHIES.values(), ids=list(HIERARCHIES))


def noise(seed: int = 0) -> StreamNoise:
    return StreamNoise(torch.Generator(), seed)


def vae_with(hierarchy: Hierarchy) -> Any:
    """A VAE with weights so large that every layer matters."""
    vae = VAE(Linear(), *hierarchy.layers(Diagonal(2), StandardNormal(2)), Gaussian(SHAPE))
    with torch.no_grad():
        for weight in vae.parameters():
            weight.mul_(1.5)
    return vae


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_p_of_x_where_q_is_exact(kind: str) -> None:
    model, x = LinearGaussianLayers(kind), random_images(6)
    log_w = log_weights(model.vae, x, 4, noise())
    torch.testing.assert_close(log_w.double(), model.log_p(x).expand(4, 6), atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bounds_are_in_order_and_tend_to_log_p_of_x(kind: str) -> None:
    model, x = LinearGaussianLayers(kind, exact=False), random_images(4)
    with torch.no_grad():
        draws = ELBOTerms(model.vae, x, 20_000, noise())
        log_w = draws.log_w.double()
        exact = model.log_p(x)
        elbo, iwae_10 = log_w.mean(0), iwae_bound(log_w.view(10, -1, 4)).mean(0)
        assert (elbo + 0.02 < iwae_10).all()
        assert (iwae_10 < exact + 0.005).all()  # its own error is 0.003
        torch.testing.assert_close(iwae_bound(log_w), exact, atol=0.03, rtol=0)
        torch.testing.assert_close(draws.elbo.double(), elbo, atol=0.03, rtol=0)  # KLs by formula where there is one


@pytest.mark.parametrize("kind", KINDS)
def test_samples_from_the_top_down_have_the_moments_of_the_model(kind: str) -> None:
    model = LinearGaussianLayers(kind)
    A, eye = model.A, torch.eye(2)
    z = model.vae.prior().rsample((40_000,), noise()).detach()
    covariance = torch.cat([torch.cat([A @ A.T + model.tau**2 * torch.eye(3), A], 1), torch.cat([A.T, eye], 1)])  # of (z1, z2)
    torch.testing.assert_close(z.T.cov(), covariance, atol=0.03, rtol=0)
    torch.testing.assert_close(z.mean(0), torch.cat([model.a, torch.zeros(2)]), atol=0.02, rtol=0)
    torch.testing.assert_close(model.vae.prior().mean, torch.cat([model.a, torch.zeros(2)]), atol=1e-5, rtol=0)
    images = model.vae.sample(5, noise())
    assert images.shape == (5, *SHAPE)


def normal(parameters: Tensor) -> Independent:
    mean, log_variance = parameters.chunk(2, -1)
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def test_log_densities_are_sums_over_layers_bottom_up() -> None:
    vae, x = vae_with(HIERARCHIES["bottom_up"]), random_images(3)
    draws = ELBOTerms(vae, x, 4)
    z1, z2 = draws.z.split([5, 2], -1)
    log_q = normal(vae.encoder(x)).log_prob(z1) + normal(vae.posterior.network(z1)).log_prob(z2)
    torch.testing.assert_close(draws.log_qz, log_q)
    torch.testing.assert_close(vae.encode(x).log_prob(draws.z), log_q)  # of another q's draw
    check_prior(vae, draws)


def test_log_densities_are_sums_over_layers_top_down() -> None:
    vae, x = vae_with(HIERARCHIES["top_down"]), random_images(3)
    draws = ELBOTerms(vae, x, 4)
    z1, z2 = draws.z.split([5, 2], -1)
    of_z2, of_x = vae.encoder(x).split([4, 6], -1)
    given = torch.cat([of_x.tanh().expand(4, 3, 6), z2], -1)
    log_q = normal(of_z2).log_prob(z2) + normal(vae.posterior.network(given)).log_prob(z1)
    torch.testing.assert_close(draws.log_qz, log_q)
    torch.testing.assert_close(vae.encode(x).log_prob(draws.z), log_q)
    check_prior(vae, draws)


def test_log_densities_are_sums_over_layers_of_a_ladder() -> None:
    vae, x = vae_with(HIERARCHIES["ladder of three"]), random_images(3)
    draws = ELBOTerms(vae, x, 4)
    z1, z2, z3 = draws.z.split([5, 4, 2], -1)
    q, p = vae.posterior, vae.latent_prior
    of_z1, up1 = vae.encoder(x).split([10, 6], -1)
    of_z2, up2 = q.up[0](up1).split([8, 7], -1)
    log_q = normal(q.up[1](up2)).log_prob(z3)
    for z, own, above, network in ((z2, of_z2, z3, p.networks[1]), (z1, of_z1, z2, p.networks[0])):
        a, b = normal(own), normal(network(above))
        variance = 1 / (1 / a.variance + 1 / b.variance)
        mean = variance * (a.mean / a.variance + b.mean / b.variance)
        log_q = log_q + Independent(Normal(mean, variance.sqrt()), 1).log_prob(z)
    torch.testing.assert_close(draws.log_qz, log_q)
    torch.testing.assert_close(vae.encode(x).log_prob(draws.z), log_q)
    expected = (
        normal(torch.zeros(4)).log_prob(z3) + normal(p.networks[1](z3)).log_prob(z2) + normal(p.networks[0](z2)).log_prob(z1)
    )
    torch.testing.assert_close(draws.log_pz, expected)


def check_prior(vae: Any, draws: ELBOTerms) -> None:
    z1, z2 = draws.z.split([5, 2], -1)
    down = vae.latent_prior.networks[0]
    torch.testing.assert_close(draws.log_pz, normal(torch.zeros(4)).log_prob(z2) + normal(down(z2)).log_prob(z1))


def test_precisions_add_up_and_means_are_weighed_by_them() -> None:
    a, b = (DiagonalNormal(torch.randn(4, 3), torch.rand(4, 3) + 0.1) for _ in range(2))
    both = precision_weighted(a, b)
    torch.testing.assert_close(1 / both.variance, 1 / a.variance + 1 / b.variance)
    torch.testing.assert_close(both.mean / both.variance, a.mean / a.variance + b.mean / b.variance)
    far = precision_weighted(
        DiagonalNormal(torch.ones(1, 1), torch.full((1, 1), 1e-12)), DiagonalNormal(torch.zeros(1, 1), torch.ones(1, 1))
    )
    torch.testing.assert_close((far.mean.item(), far.stddev.item()), (1.0, 1e-12))


@every_hierarchy
def test_each_layers_part_of_the_kl_adds_up_and_is_the_same_by_formula_and_from_draws(hierarchy: Hierarchy) -> None:
    vae, x = vae_with(hierarchy), random_images(2)
    with torch.no_grad():
        draws = ELBOTerms(vae, x, 10_000, noise())
        torch.testing.assert_close(torch.stack(list(draws.kl_by_part.values())).sum(0), draws.kl)
        q, p = draws.q, draws.p
        assert isinstance(q, HierarchicalDistribution)
        assert isinstance(p, HierarchicalDistribution)
        drawn = torch.stack(kl_per_layer(q, p, draws.z, closed_form=False))
        formula = torch.stack(kl_per_layer(q, p, draws.z))
        torch.testing.assert_close(drawn.sum(0), draws.log_qz - draws.log_pz, rtol=1e-4, atol=1e-4)
        error = (drawn - formula).std(1) / 100
        assert ((drawn - formula).mean(1).abs() <= 5 * error + 1e-5).all()
    if not q.upward:
        assert (formula >= 0).all()


@every_hierarchy
def test_a_detached_one_is_the_same_density_with_gradients_to_z_alone(hierarchy: Hierarchy) -> None:
    vae, x = vae_with(hierarchy), random_images(3)
    q, p = vae.encode(x), vae.prior()
    z = q.rsample((4,)).detach().requires_grad_()
    for whole in (q, p):
        constant = whole.detached()
        torch.testing.assert_close(constant.log_prob(z), whole.log_prob(z))
        of_z = torch.autograd.grad(whole.log_prob(z).sum(), z, retain_graph=True)[0]
        z.grad = None
        constant.log_prob(z).sum().backward()
        torch.testing.assert_close(z.grad, of_z)
        assert all(weight.grad is None for weight in vae.parameters())


@every_hierarchy
def test_gradients_reach_every_layer(hierarchy: Hierarchy) -> None:
    vae, x = vae_with(hierarchy), random_images(8)
    losses = Objective()(vae, x, noise=noise())
    losses["loss"].backward()
    for name, weight in vae.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    parts = [value for name, value in losses.items() if name.startswith("kl_z")]
    torch.testing.assert_close(sum(parts), losses["kl"])


@every_hierarchy
def test_a_draw_is_a_function_of_its_noise_and_goes_through_log_prob_once(hierarchy: Hierarchy) -> None:
    vae, batch = vae_with(hierarchy), random_batch(6)
    whole = evaluate_nll(vae, [batch], "test", samples=6)
    chunked = evaluate_nll(vae, [batch], "test", samples=6, chunk=4)
    assert chunked.nll == pytest.approx(whole.nll, abs=1e-4)
    singles = [type(batch)(*(part[i : i + 1] for part in batch)) for i in range(6)]
    assert evaluate_nll(vae, singles, "test", samples=6).nll == pytest.approx(whole.nll, abs=1e-4)
    q = vae.encode(random_images(6))
    z = q.rsample((2,), noise())
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))
    other = torch.randn_like(z)
    assert not torch.allclose(q.log_prob(other), q.log_prob(z))


@every_hierarchy
def test_weights_are_saved_once_and_a_copy_is_a_copy(hierarchy: Hierarchy) -> None:
    vae, x = vae_with(hierarchy), random_images(2)
    assert set(vae.state_dict()) == {name for name, _ in vae.named_parameters()}
    twin = copy.deepcopy(vae)
    with torch.no_grad():
        for weight in vae.parameters():
            weight.zero_()
    assert (
        twin.encode(x).log_prob(torch.ones(2, twin.latent_dim)).sum()
        != vae.encode(x).log_prob(torch.ones(2, vae.latent_dim)).sum()
    )
    twin.load_state_dict(vae.state_dict())
    torch.testing.assert_close(twin.encode(x).mean, vae.encode(x).mean)


@every_hierarchy
def test_layers_below_the_top_follow_it(hierarchy: Hierarchy) -> None:
    vae = vae_with(hierarchy)
    top = torch.randn(3, 4, 2)
    z = vae.latent_prior.with_lower_layers(top)
    assert z.shape == (3, 4, vae.latent_dim)
    assert vae.latent_prior.top_dim == 2
    assert torch.equal(z[..., -2:], top)
    p = vae.prior()
    assert isinstance(p, HierarchicalDistribution)
    parts = z.split(p.sizes, -1)
    for below, given in zip(parts[:-1], p.at(z)[:-1], strict=True):
        torch.testing.assert_close(below, given.mean)


class Made(Prior):
    """p(z) = q(z_top|u) of one image u, to see what a prior made of posteriors receives."""

    option, space = "prior=made", ANY

    def __init__(self) -> None:
        super().__init__()
        self.latent_dim, self.u = 2, nn.Parameter(random_images(1))

    def start(self, images: Images) -> None:
        self.images = images

    def forward(self, encode: Encode | None = None) -> DiagonalNormal:
        assert encode is not None
        q = encode(self.u)
        assert isinstance(q, DiagonalNormal)
        return DiagonalNormal(q.mean[0], q.stddev[0])


@every_hierarchy
def test_a_prior_of_posteriors_on_the_top_is_handed_the_top_layers(hierarchy: Hierarchy) -> None:
    prior = Made()
    vae = VAE(Linear(), *hierarchy.layers(Diagonal(2), prior), Gaussian(SHAPE))
    q, p = vae.encode(prior.u), vae.prior()
    assert isinstance(q, HierarchicalDistribution)
    assert isinstance(p, HierarchicalDistribution)
    torch.testing.assert_close(p.first.mean, q.top.mean[0])
    assert p.event_shape == (vae.latent_dim,)
    Objective()(vae, random_images(3))["loss"].backward()
    assert prior.u.grad is not None
    images = Images(torch.zeros(1, *SHAPE, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    vae.latent_prior.start(images)
    assert prior.images is images


def test_bottom_up_the_top_layer_is_taken_at_the_mean_of_the_layer_below() -> None:
    vae, x = vae_with(HIERARCHIES["bottom_up"]), random_images(3)
    q = vae.encode(x)
    assert isinstance(q, HierarchicalDistribution)
    expected = normal(vae.posterior.network(normal(vae.encoder(x)).mean))
    torch.testing.assert_close(q.top.mean, expected.mean)
    torch.testing.assert_close(q.mean[:, 5:], expected.mean)


def test_the_decoder_sees_the_lowest_layer_or_all() -> None:
    x = random_images(2)
    for hierarchy, sees in ((TwoLayer(5, [6]), 5), (TwoLayer(5, [6], decoder_sees="all"), 7), (Ladder([5, 4], [6, 7]), 5)):
        vae = vae_with(hierarchy)
        z = vae.encode(x).rsample()
        moved = z.clone()
        moved[:, 5:] += 1
        assert vae.decoder[0].in_features == sees
        assert torch.equal(vae.decode(moved).mean, vae.decode(z).mean) == (sees == 5)


def widths(network: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]


def test_the_networks_of_burda_et_al() -> None:
    vae: Any = VAE(MLP([200, 200], "tanh"), *TwoLayer().layers(Diagonal(50), StandardNormal(50)), Bernoulli((1, 28, 28)))
    assert widths(vae.encoder) == [(784, 200), (200, 200), (200, 2 * 100)]
    assert widths(vae.posterior) == [(100, 100), (100, 100), (100, 2 * 50)]
    assert widths(vae.latent_prior) == [(50, 100), (100, 100), (100, 2 * 100)]
    assert widths(vae.decoder) == [(100, 200), (200, 200), (200, 784)]
    assert vae.latent_dim == 150


def test_the_networks_of_sonderby_et_al() -> None:
    ladder = Ladder([64, 32, 16, 8], [256, 128, 64, 32])
    vae = VAE(MLP([512, 512], "leaky_relu"), *ladder.layers(Diagonal(4), StandardNormal(4)), Bernoulli((1, 28, 28)))
    assert widths(vae.encoder) == [(784, 512), (512, 512), (512, 2 * 64 + 256)]
    assert widths(vae.posterior)[:4] == [(256, 256), (256, 2 * 32 + 128), (128, 128), (128, 2 * 16 + 64)]
    assert widths(vae.posterior)[-1] == (32, 2 * 4)
    assert widths(vae.latent_prior)[:3] == [(32, 256), (256, 256), (256, 2 * 64)]
    assert widths(vae.decoder) == [(64, 512), (512, 512), (512, 784)]


class OtherPosterior(Posterior):
    option, latent_dim = "posterior=other", 2


class SpherePrior(Prior):
    option, latent_dim, space = "prior=sphere", 2, "sphere"


def test_what_does_not_go_together_is_refused() -> None:
    for hierarchy in (TwoLayer(), Ladder()):
        with pytest.raises(UserError, match=rf"posterior=other is incompatible with {hierarchy.option}: .* leave posterior out"):
            hierarchy.layers(OtherPosterior(), StandardNormal(2))
        with pytest.raises(UserError, match=rf"prior=sphere is incompatible with {hierarchy.option}: .*2 numbers \(real\)"):
            hierarchy.layers(Diagonal(2), SpherePrior())
        with pytest.raises(UserError, match="3 numbers"):
            hierarchy.layers(Diagonal(3), StandardNormal(2))
    posterior, prior = OtherPosterior(), SpherePrior()
    assert NoHierarchy().layers(posterior, prior) == (posterior, prior)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("z1_dim", lambda: TwoLayer(0)),
        ("hidden", lambda: TwoLayer(hidden=[])),
        ("activation", lambda: TwoLayer(activation="step")),
        ("inference", lambda: TwoLayer(inference="sideways")),
        ("decoder_sees", lambda: TwoLayer(decoder_sees="z2")),
        ("dims", lambda: Ladder(dims=[0])),
        ("widths", lambda: Ladder(dims=[3, 4], widths=[5])),
    ],
)
def test_values_out_of_range_are_refused(name: str, make: Callable[[], Hierarchy]) -> None:
    with pytest.raises(InvalidValue, match=f"^{name}="):
        make()


def test_float32_under_mixed_precision() -> None:
    for hierarchy in HIERARCHIES.values():
        vae, x = vae_with(hierarchy), random_images(3)
        with torch.autocast("cpu", torch.bfloat16):
            draws = ELBOTerms(vae, x, 2)
            assert draws.z.dtype == draws.log_w.dtype == draws.kl.dtype == torch.float32


def test_steps_broadcast_over_any_leading_dimensions() -> None:
    """log q(z_i|x_j) of every pair, as estimates of the aggregate posterior need it."""
    for hierarchy in HIERARCHIES.values():
        vae, x = vae_with(hierarchy), random_images(3)
        q = vae.encode(x)
        z = q.rsample()
        pairs = q.log_prob(z.unsqueeze(1))
        assert pairs.shape == (3, 3)
        torch.testing.assert_close(pairs.diagonal(), q.log_prob(z))
        torch.testing.assert_close(pairs[0, 1], vae.encode(x[1:2]).log_prob(z[:1])[0])


def test_a_ladder_step_is_what_it_says() -> None:
    network, features, z = nn.Linear(2, 6), torch.randn(4, 6), torch.randn(4, 2)
    own, prior = normal(features), ConditionalGaussian(network)(z)
    combined = CombinedGaussian(ConditionalGaussian(network), features)(z)
    product = MultivariateNormal(combined.mean, covariance_matrix=torch.diag_embed(1 / (1 / own.variance + 1 / prior.variance)))
    point = torch.randn(4, 3)
    torch.testing.assert_close(combined.log_prob(point), product.log_prob(point))
    # a product of densities is a density up to a factor that does not depend on the point
    ratio = own.log_prob(point) + prior.log_prob(point) - combined.log_prob(point)
    torch.testing.assert_close(ratio, own.log_prob(-point) + prior.log_prob(-point) - combined.log_prob(-point))
