from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from tests.linear_gaussian import random_images
from vae_lightning.architectures import MLP, Architecture, Conv, ResNet
from vae_lightning.architectures.layers import ACTIVATIONS, activation, halvings, output_padding
from vae_lightning.architectures.resnet import ResidualBlock
from vae_lightning.errors import InvalidValue
from vae_lightning.likelihoods import Bernoulli
from vae_lightning.objectives import Objective
from vae_lightning.posteriors import Diagonal
from vae_lightning.priors import StandardNormal
from vae_lightning.vae import VAE

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 64, 48), (3, 17, 5), (1, 1, 1)]
ARCHITECTURES = {
    "mlp": MLP([16, 8], "tanh"),
    "conv": Conv([4, 8, 8], 16, "gelu"),
    "resnet": ResNet([4, 8, 8], 2, "silu"),
    "default mlp": MLP(),
    "default conv": Conv(),
    "default resnet": ResNet(),
}

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@every_architecture
@every_shape
def test_shapes_and_finite_gradients_for_every_parameter(architecture: Architecture, shape: tuple[int, int, int]) -> None:
    vae = VAE(architecture, Diagonal(3), StandardNormal(3), Bernoulli(shape))
    x = random_images(4, shape)
    assert vae.encoder(x).shape == (4, 6)
    assert vae.decoder(torch.randn(4, 3)).shape == (4, *shape)
    Objective()(vae, x.round())["loss"].backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for network in (vae.encoder, vae.decoder):
        assert any(parameter.grad.abs().max() > 0 for parameter in network.parameters())  # type: ignore[union-attr]


@every_architecture
def test_what_an_image_gives_does_not_depend_on_its_batch(architecture: Architecture) -> None:
    encoder, decoder = architecture.encoder((1, 28, 28), 6), architecture.decoder(3, (1, 28, 28))
    x, z = random_images(5, (1, 28, 28)), torch.randn(5, 3)
    for network, inputs in ((encoder, x), (decoder, z)):
        whole = network(inputs)
        torch.testing.assert_close(network(inputs[2:3])[0], whole[2])
        torch.testing.assert_close(network(torch.cat([inputs[2:3], 9 * inputs[:2]]))[0], whole[2])


@every_architecture
def test_every_pixel_reaches_the_code_and_every_latent_every_part_of_the_image(architecture: Architecture) -> None:
    shape = (3, 17, 5)
    x = random_images(1, shape).requires_grad_()
    architecture.encoder(shape, 6)(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.9
    decoder = architecture.decoder(2, shape)
    for step in (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])):
        change = decoder(3 * step) - decoder(torch.zeros(1, 2))
        assert (change != 0).float().mean() > 0.9


def widths(network: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


def test_mlp_has_the_layers_asked_for_and_the_decoder_mirrors_them() -> None:
    mlp = MLP([7, 5])
    assert widths(mlp.encoder((1, 2, 3), 4)) == [(6, 7), (7, 5), (5, 4)]
    assert widths(mlp.decoder(2, (1, 2, 3))) == [(2, 5), (5, 7), (7, 6)]


def test_conv_halves_once_for_each_entry_of_channels() -> None:
    encoder = Conv([4, 8], hidden=10).encoder((1, 28, 28), 6)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride) for c in convolutions] == [(1, 4, (2, 2)), (4, 8, (2, 2))]
    assert widths(encoder) == [(8 * 7 * 7, 10), (10, 6)]


def test_resnet_has_the_blocks_asked_for() -> None:
    resnet = ResNet([4, 8], blocks=3)
    for network in (resnet.encoder((1, 28, 28), 6), resnet.decoder(3, (1, 28, 28))):
        assert sum(isinstance(m, ResidualBlock) for m in network.modules()) == 6


def test_a_residual_block_adds_to_its_input() -> None:
    block, x = ResidualBlock(2, "relu"), torch.randn(1, 2, 5, 5)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5), (28, 28), (64, 48)])
def test_strided_convolutions_and_their_transposes_meet(size: tuple[int, int]) -> None:
    sizes = halvings(*size, times=4)
    assert len(sizes) == 5
    for large, small in pairwise(sizes):
        down = nn.Conv2d(1, 1, 3, stride=2, padding=1)(torch.zeros(1, 1, *large))
        assert down.shape[2:] == small
        padding = output_padding(small, large)
        up = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=padding)(torch.zeros(1, 1, *small))
        assert up.shape[2:] == large


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kind", [MLP, Conv, ResNet])
def test_the_activation_asked_for_is_the_one_used(kind: type[Any], name: str) -> None:
    for network in (kind(activation=name).encoder((1, 8, 8), 4), kind(activation=name).decoder(2, (1, 8, 8))):
        used = {type(m) for m in network.modules() if type(m) in ACTIVATIONS.values()}
        assert used == {type(activation(name))}


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (MLP, {"hidden": []}),
        (MLP, {"hidden": [0]}),
        (MLP, {"hidden": 512}),
        (MLP, {"activation": "rleu"}),
        (Conv, {"channels": [-1]}),
        (Conv, {"hidden": 0}),
        (Conv, {"activation": None}),
        (ResNet, {"channels": []}),
        (ResNet, {"blocks": 0}),
        (ResNet, {"activation": "swish"}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[Any], bad: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        kind(**bad)
