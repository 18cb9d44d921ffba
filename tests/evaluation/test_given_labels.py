"""With condition=label, every value is that of the image given its own label."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from tests.linear_gaussian import SHAPE, Linear, random_batch
from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.codes import encode_split
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.evaluation.nll import evaluate_nll
from vae_lightning.evaluation.reconstructions import evaluate_reconstructions
from vae_lightning.evaluation.samples import draw_features
from vae_lightning.models.conditions import Label
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

CLASSES = 3


def conditional() -> Any:
    """x = W z + V c + b + ε, z ~ N(m_c, diag s_c²), the classes well apart in V and m."""
    vae: Any = VAE(Linear(), Diagonal(2), StandardNormal(2), Gaussian(SHAPE, 1.0), Label(CLASSES))
    with torch.no_grad():
        vae.condition.shift.copy_(torch.randn(CLASSES, 2))
        vae.condition.log_scale.copy_(0.3 * torch.randn(CLASSES, 2))
        vae.decoder[0].weight[:, 2:].copy_(torch.randn(6, CLASSES))
        vae.encoder[1].weight.mul_(0.5)
        vae.condition.plane.copy_(torch.randn(CLASSES, 6))
    return vae


def labelled(size: int) -> Batch:
    batch = random_batch(size)
    return Batch(batch.images, torch.arange(size) % CLASSES, batch.examples)


def log_p(vae: Any, x: Tensor, c: Tensor) -> Tensor:
    weight, bias = vae.decoder[0].weight.detach().double(), vae.decoder[0].bias.detach().double()
    W, V = weight[:, :2], weight[:, 2:]
    found = []
    for image, label in zip(x.double().flatten(1), c.tolist(), strict=True):
        m, s = vae.condition.shift[label].detach().double(), vae.condition.log_scale[label].detach().double().exp()
        p = MultivariateNormal(W @ m + V[:, label] + bias, W @ s.square().diag() @ W.T + torch.eye(6, dtype=torch.float64))
        found.append(p.log_prob(image))
    return torch.stack(found)


def test_nll_and_elbo_are_of_log_p_given_the_label() -> None:
    vae, batch = conditional(), labelled(9)
    exact = -log_p(vae, pixels(batch.images), batch.labels)
    result = evaluate_nll(vae, [batch], "test", samples=4000)
    torch.testing.assert_close(result.values, exact, atol=0.1, rtol=0)
    others = evaluate_nll(vae, [batch._replace(labels=(batch.labels + 1) % CLASSES)], "test", samples=100)
    assert (others.values - exact).abs().mean() > 0.5, "another label would make a difference"
    codes = encode_split(vae, [batch], "test")
    assert codes.elbo is not None
    assert codes.elbo.mean().item() == pytest.approx(evaluate_elbo(vae, [batch], "test").metrics()["elbo"], rel=1e-6)
    bounds: list[Any] = [encode_split(vae, [batch], f"test{i}").elbo for i in range(50)]
    assert (-torch.stack(bounds).mean(0) > exact).all(), "the ELBO is below log p(x|c)"


def test_reconstructions_and_samples_are_given_the_label() -> None:
    vae, batch = conditional(), labelled(9)
    x = pixels(batch.images)
    given = torch.cat([x, vae.condition.plane.detach()[batch.labels].view(-1, 1, *SHAPE[1:])], 1)
    z = vae.encoder(given)[:, :2].detach()
    one_hot = torch.eye(CLASSES)[batch.labels]
    x_hat = vae.decoder(torch.cat([z, one_hot], 1)).detach()
    mse = evaluate_reconstructions(vae, [batch]).values["mse"]
    assert mse == pytest.approx((x - x_hat).square().mean().item(), rel=1e-5)

    drawn = draw_features(vae, lambda images: images.flatten(1), 3000, 0, 500)
    W, V, bias = vae.decoder[0].weight.detach()[:, :2], vae.decoder[0].weight.detach()[:, 2:], vae.decoder[0].bias.detach()
    for label in range(CLASSES):
        noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(label))
        codes = vae.condition.shift[label].detach() + vae.condition.log_scale[label].detach().exp() * noise
        expected = (codes @ W.T + V[:, label] + bias).clamp(0, 1).mean(0)
        torch.testing.assert_close(drawn[label::CLASSES].mean(0), expected, atol=0.05, rtol=0)
