"""The conditional VAE: p(z|c) is a density that starts as p(z), and c reaches encoder, decoder and prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tests.linear_gaussian import SHAPE, Linear, random_images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.models.conditions import Condition, Label, NoCondition
from vae_lightning.models.distributions.affine import AffineDistribution, shift_and_scale
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.hierarchical import HierarchicalDistribution
from vae_lightning.models.hierarchies import Ladder, TwoLayer
from vae_lightning.models.likelihoods import Bernoulli, Gaussian
from vae_lightning.models.posteriors import Diagonal, PointMass
from vae_lightning.models.priors import Encode, Prior, StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise
from vae_lightning.objectives import Objective
from vae_lightning.objectives.terms import ELBOTerms
from vae_lightning.plots import images as figures


def noise(seed: int = 0) -> StreamNoise:
    return StreamNoise(torch.Generator(), seed)


def conditional(latent_dim: int = 2, classes: int = 3, moved: bool = True, **arguments: Any) -> Any:
    """A conditional VAE; with `moved`, as if it had learned the position of each class."""
    condition = Label(classes, **arguments)
    vae = VAE(Linear(), Diagonal(latent_dim), StandardNormal(latent_dim), Gaussian(SHAPE), condition)
    if moved and condition.prior_sees_c:
        with torch.no_grad():
            condition.shift.copy_(torch.randn(classes, latent_dim))
            condition.log_scale.copy_(0.5 * torch.randn(classes, latent_dim))
    return vae


class Opaque:
    """A distribution known only by its density and draws."""

    def __init__(self, p: DiagonalNormal) -> None:
        self.p, self.mean, self.batch_shape, self.event_shape = p, p.mean, p.batch_shape, p.event_shape

    def rsample(self, sample_shape: Any = (), noise: Any = None) -> Tensor:
        return self.p.rsample(sample_shape, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.p.log_prob(z)

    def detached(self) -> Opaque:
        return Opaque(self.p.detached())


def test_at_the_start_the_prior_is_the_unconditional_one() -> None:
    vae, z = conditional(moved=False), torch.randn(4, 5, 2)
    c = torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(vae.prior(c).log_prob(z), StandardNormal(2)().log_prob(z))
    assert vae.prior(c).batch_shape == (5,)


def test_the_density_of_each_class_integrates_to_one() -> None:
    vae, grid = conditional(latent_dim=1), torch.linspace(-15, 15, 4001).view(-1, 1, 1)
    for p in (
        vae.prior(torch.arange(3)),
        AffineDistribution(StandardNormal(1)(), vae.condition.shift, vae.condition.log_scale.exp()),
    ):
        mass = torch.trapezoid(p.log_prob(grid).exp(), grid[:, :, 0].expand(-1, 3), dim=0)
        torch.testing.assert_close(mass, torch.ones(3), atol=1e-4, rtol=0)


def test_a_class_is_where_its_row_says() -> None:
    vae, c = conditional(), torch.tensor([2, 0])
    shift, scale = vae.condition.shift[c], vae.condition.log_scale[c].exp()
    p = vae.prior(c)
    torch.testing.assert_close(p.mean, shift)
    torch.testing.assert_close(p.stddev, scale)
    z = p.rsample((40_000,), noise())
    torch.testing.assert_close(z.mean(0), shift, atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), scale, rtol=0.03, atol=0)
    torch.testing.assert_close(vae.condition.shift_latents(torch.ones(2, 2), c), shift + scale)


def test_a_prior_of_any_kind_is_moved_as_the_normal_one_is() -> None:
    base = DiagonalNormal(torch.randn(2), torch.rand(2) + 0.5)
    shift, scale, z = torch.randn(5, 2), torch.rand(5, 2) + 0.5, torch.randn(4, 5, 2)
    known, wrapped = shift_and_scale(base, shift, scale), shift_and_scale(Opaque(base), shift, scale)
    assert isinstance(known, DiagonalNormal)
    assert isinstance(wrapped, AffineDistribution)
    assert (wrapped.batch_shape, wrapped.event_shape) == ((5,), (2,))
    torch.testing.assert_close(wrapped.log_prob(z), known.log_prob(z))
    torch.testing.assert_close(wrapped.detached().log_prob(z), known.log_prob(z))
    torch.testing.assert_close(wrapped.mean, known.mean)
    draws = wrapped.rsample((20_000,), noise())
    assert draws.shape == (20_000, 5, 2)
    torch.testing.assert_close(draws.mean(0), known.mean, atol=0.06, rtol=0)
    torch.testing.assert_close(draws.std(0), known.stddev, rtol=0.03, atol=0)
    assert abs(torch.corrcoef(draws[:, :2, 0].T)[0, 1]) < 0.03  # each image of the batch has its own noise
    twice = shift_and_scale(Opaque(DiagonalNormal(torch.zeros(5, 2), torch.ones(5, 2))), shift, scale)
    assert twice.rsample((7,)).shape == (7, 5, 2)


def test_the_kl_by_its_formula_is_that_of_draws() -> None:
    vae, x, c = conditional(), random_images(3), torch.arange(3)
    draws = ELBOTerms(vae, x, 20_000, noise(), c)
    ratio = draws.log_qz - draws.log_pz
    assert ((draws.kl - ratio.mean(0)).abs() < 5 * ratio.std(0) / 20_000**0.5).all()
    q, p = vae.encode(x, c), vae.prior(c)
    by_hand = (p.stddev / q.stddev).log() + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5
    torch.testing.assert_close(draws.kl, by_hand.sum(-1))


def test_encoder_decoder_and_prior_see_c() -> None:
    vae, x, c, z = conditional(), random_images(3), torch.tensor([0, 1, 2]), torch.randn(4, 3, 2)
    assert vae.encoder[1].in_features == 2 * 6
    assert vae.decoder[0].in_features == 2 + 3
    weight = vae.decoder[0].weight
    expected = z @ weight[:, :2].T + weight[:, 2:].T[c] + vae.decoder[0].bias
    torch.testing.assert_close(vae.decode(z, c).mean.flatten(2), expected)
    other = torch.tensor([1, 1, 2])
    for a, b in (
        (vae.encode(x, c).mean, vae.encode(x, other).mean),
        (vae.decode(z, c).mean[0], vae.decode(z, other).mean[0]),
        (vae.prior(c).mean, vae.prior(other).mean),
    ):
        assert not torch.allclose(a[0], b[0])
        torch.testing.assert_close(a[1:], b[1:])


def test_gradients_reach_what_is_learned_of_each_class() -> None:
    vae = conditional()
    Objective()(vae, random_images(6), c=torch.arange(6) % 3)["loss"].backward()
    for table in (vae.condition.plane, vae.condition.shift, vae.condition.log_scale):
        assert (table.grad.abs().sum(-1) > 0).all()


def test_samples_are_of_the_classes_in_turn_or_of_those_asked_for() -> None:
    vae = conditional()
    with torch.no_grad():
        vae.decoder[0].weight.zero_()
        vae.decoder[0].bias.zero_()
        vae.decoder[0].weight[0, 2:] = torch.tensor([0.1, 0.2, 0.3])  # the first pixel shows the class
    torch.testing.assert_close(vae.sample(7)[:, 0, 0, 0], torch.tensor([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1]))
    torch.testing.assert_close(vae.sample(16, c=torch.full((16,), 2))[:, 0, 0, 0], torch.full((16,), 0.3))


@pytest.mark.parametrize(
    ("c", "says"),
    [
        (None, r"condition=label: pass c"),
        (torch.tensor([0, 1, 3]), r"c=\[0,1,3\]: must be classes, 0 to 2"),
        (torch.tensor([0, 1, -1]), r"must be classes, 0 to 2"),
        (torch.tensor([0, 1]), r"must be one class, int64, for each of \(3,\)"),
        (torch.zeros(3, 1, dtype=torch.long), r"must be one class"),
        (torch.tensor([0.0, 1.0, 2.0]), r"c=torch.float32 .*: must be one class, int64"),
        (torch.tensor([True, False, True]), r"must be one class, int64"),
    ],
)
def test_a_wrong_c_is_refused(c: Tensor | None, says: str) -> None:
    vae = conditional()
    for use in (lambda: vae.encode(random_images(3), c), lambda: vae.decode(torch.randn(3, 2), c)):
        with pytest.raises(UserError, match=says):
            use()
    if c is not None:
        with pytest.raises(InvalidValue, match=says):
            vae.sample(3, c=c)


def test_data_without_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"^condition=label needs a label for each image, and some or all of these have none\.$"):
        Label(None)
    with pytest.raises(InvalidValue, match=r"^classes=0"):
        Label(0)
    assert not NoCondition(None).classes


class Sphere(StandardNormal):
    option, space = "prior=sphere", "sphere"


class SpherePosterior(Diagonal):
    option, space = "posterior=sphere", "sphere"


def test_a_prior_that_nothing_would_teach_is_refused_or_left_alone() -> None:
    parts = (Linear(), PointMass(2), StandardNormal(2), Gaussian(SHAPE))
    with pytest.raises(UserError, match=r"condition=label is incompatible with posterior=delta: .*set condition\.prior_sees_c"):
        VAE(*parts, Label(3))
    vae = VAE(*parts, Label(3, prior_sees_c=False))
    Objective()(vae, random_images(3), c=torch.arange(3))["loss"].backward()
    assert all(parameter.grad is not None for parameter in vae.parameters()), "processes of ddp would wait for it"


def test_latents_that_cannot_be_moved_are_refused_or_left_alone() -> None:
    parts = (Linear(), SpherePosterior(2), Sphere(2), Gaussian(SHAPE))
    with pytest.raises(UserError, match=r"condition=label is incompatible with prior=sphere: .*set condition\.prior_sees_c"):
        VAE(*parts, Label(3))
    vae = VAE(*parts, Label(3, prior_sees_c=False))
    assert vae.prior(torch.arange(3)).batch_shape == ()
    assert vae.sample(5).shape == (5, *SHAPE)
    assert Objective()(vae, random_images(3), c=torch.arange(3))["loss"].isfinite()


class OfPosteriors(Prior):
    """p(z) = q(z|u₂), the third of its pseudo-inputs."""

    option, latent_dim = "prior=of_posteriors", 2

    def forward(self, encode: Encode | None = None) -> DiagonalNormal:
        assert encode is not None
        q = encode(torch.ones(3, *SHAPE))
        assert isinstance(q, DiagonalNormal)
        return DiagonalNormal(q.mean[2], q.stddev[2])


def test_pseudo_inputs_are_of_no_class_and_alike_in_any_company() -> None:
    """The encoder is linear: what it makes of the mean plane is the mean of what it makes of each class's."""
    vae = VAE(Linear(), Diagonal(2), OfPosteriors(), Gaussian(SHAPE), Label(3))
    expected = vae.encode(torch.ones(3, *SHAPE), torch.arange(3)).mean.mean(0)
    torch.testing.assert_close(vae.prior(torch.tensor([0, 1])).mean, expected.expand(2, 2))
    torch.testing.assert_close(vae.encode_unlabelled(torch.ones(1, *SHAPE)).mean[0], expected)


@pytest.mark.parametrize("hierarchy", [TwoLayer(4, [5]), Ladder([4], [5])], ids=["two_layer", "ladder"])
def test_under_a_hierarchy_the_top_layer_is_moved_and_those_below_follow(hierarchy: Any) -> None:
    condition = Label(3)
    q, p_z = hierarchy.layers(Diagonal(2), StandardNormal(2))
    vae: Any = VAE(Linear(), q, p_z, Gaussian(SHAPE), condition)
    with torch.no_grad():
        condition.shift.normal_()
    c, z = torch.arange(3), torch.randn(5, 3, 6)
    p = vae.prior(c)
    assert isinstance(p, HierarchicalDistribution)
    top = DiagonalNormal(condition.shift, torch.ones(3, 2))
    network = vae.latent_prior.networks[0]
    mean, log_variance = network(z[..., 4:]).chunk(2, -1)
    expected = top.log_prob(z[..., 4:]) + DiagonalNormal(mean, (log_variance / 2).exp()).log_prob(z[..., :4])
    torch.testing.assert_close(p.log_prob(z), expected)
    Objective()(vae, random_images(3), c=c)["loss"].backward()
    assert condition.shift.grad is not None
    assert vae.sample(7).shape == (7, *SHAPE)


def test_a_short_training_makes_samples_of_the_class_that_is_asked_for() -> None:
    """Class 0 is white above and class 1 below, with a tenth of the pixels flipped."""
    vae = VAE(Linear(), Diagonal(1), StandardNormal(1), Bernoulli(SHAPE), Label(2))
    optimizer = torch.optim.Adam(vae.parameters(), 0.1)
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(2, *SHAPE)
    clean[0, :, 0] = clean[1, :, 1] = 1
    for step in range(60):
        c = torch.arange(64) % 2
        x = (clean[c] - (torch.rand(64, *SHAPE, generator=generator) < 0.1).float()).abs()
        optimizer.zero_grad()
        Objective()(vae, x, 1.0, noise(step), c)["loss"].backward()
        optimizer.step()
    for label in (0, 1):
        images = vae.sample(50, noise(), torch.full((50,), label))
        assert (images - clean[label]).abs().mean() < 0.2


# ---------------------------------------------------------------- pictures


def canvas(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.fixture
def tells_class() -> Any:
    """A VAE whose first pixel shows the class, whatever z is."""
    vae = conditional(moved=False)
    with torch.no_grad():
        vae.decoder[0].weight[:1] = 0
        vae.decoder[0].weight[0, 2:] = torch.tensor([0.1, 0.2, 0.3])
        vae.decoder[0].bias[0] = 0
    return vae


def test_a_row_of_samples_for_each_class(tells_class: Any) -> None:
    figure = figures.samples(tells_class, columns=4)
    assert labels(figure) == ["c = 0", "c = 1", "c = 2"]
    np.testing.assert_allclose(canvas(figure)[0::4, 0::5], np.repeat([[0.1], [0.2], [0.3]], 4, 1), rtol=1e-5)
    assert labels(figures.samples(tells_class, rows=4, columns=2)) == ["c = 0", "c = 1", "c = 2", "c = 0"]
    seven = figures.samples(tells_class, columns=2, label=1)
    assert labels(seven) == ["c = 1"] * 8
    np.testing.assert_allclose(canvas(seven)[0::4, 0::5], np.full((8, 2), 0.2), rtol=1e-5)
    assert not labels(figures.samples(VAE(Linear(), Diagonal(2), StandardNormal(2), Gaussian(SHAPE))))


def test_other_pictures_are_of_each_images_own_class(tells_class: Any) -> None:
    x, c = random_images(4), torch.tensor([2, 0, 1, 1])
    rebuilt = canvas(figures.reconstructions(tells_class, x, 2, c))
    np.testing.assert_allclose(rebuilt[[2, 2, 8, 8], [0, 5, 0, 5]], [0.3, 0.1, 0.2, 0.2], rtol=1e-5)
    moved = canvas(figures.traversals(tells_class, x[0], None, columns=3, c=c[:1]))
    np.testing.assert_allclose(moved[0::4, 0::5], np.full((2, 3), 0.3), rtol=1e-5)
    lines = canvas(figures.interpolations(tells_class, x[:2], x[2:], 3, c[:2], c[2:]))
    np.testing.assert_allclose(lines[0::4, 0::5], [[0.3] * 3, [0.1] * 3], rtol=1e-5)


def test_the_plane_of_a_class_is_that_of_its_prior() -> None:
    vae = conditional()
    with torch.no_grad():
        vae.decoder[0].weight.zero_()
        vae.decoder[0].weight[0, :2] = torch.tensor([0.01, 0.0])
        vae.decoder[0].bias.fill_(0.5)
    middle = (canvas(figures.manifold(vae, side=3, label=2))[0::2, 0::3][1, 1] - 0.5) / 0.01
    assert middle == pytest.approx(vae.condition.shift[2, 0].item(), abs=1e-4)
    assert "c = 0" in figures.manifold(vae, side=2).texts[0].get_text()


def test_traversals_and_the_plane_of_a_hierarchy_move_its_top_layer() -> None:
    vae = VAE(Linear(), *TwoLayer(1, [4]).layers(Diagonal(2), StandardNormal(2)), Gaussian(SHAPE))
    figure = figures.traversals(vae, random_images(1)[0], None, columns=3)
    assert labels(figure) == ["z₁", "z₂"]
    assert "of the top layer" in figure.texts[0].get_text()
    values = torch.linspace(-3, 3, 3)
    code = vae.encode(random_images(1)).mean
    assert code.shape == (1, 3)
    plane = canvas(figures.manifold(vae, side=3))
    top = torch.tensor([[values[1], values[1]]])
    np.testing.assert_allclose(
        plane[2:4, 3:6], vae.decode(vae.latent_prior.with_lower_layers(top)).mean[0, 0].detach().clamp(0, 1), rtol=1e-4
    )


def test_conditions_say_which_they_are() -> None:
    assert [c.option for c in (NoCondition, Label)] == ["condition=none", "condition=label"]
    assert issubclass(Label, Condition)
