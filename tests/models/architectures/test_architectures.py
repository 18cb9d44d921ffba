from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from tests.linear_gaussian import random_images
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.models.architectures import MLP, Architecture, Conv, ResNet
from vae_lightning.models.architectures.layers import ACTIVATIONS, activation, halved_sizes, last_bias, output_padding
from vae_lightning.models.architectures.resnet import ResidualBlock
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.objectives import Objective

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 64, 48), (3, 17, 5), (1, 1, 1), (1, 1, 64)]  # the last two: tables and signals
ARCHITECTURES = {
    "mlp": MLP([16, 8], "tanh"),
    "conv": Conv([4, 8, 8], 16, "gelu"),
    "resnet": ResNet([4, 8, 8], 2, "silu"),
    "gated mlp": MLP([16, 8], "gated"),
    "gated conv": Conv([4, 8, 8], [16, 12], "gated"),
    "conv of kernel 5": Conv([4, 8], 16, kernel=5),
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


def test_mlp_begins_with_weights_and_biases_of_the_spread_asked_for() -> None:
    mlp = MLP([200], init_std=0.1)
    for network in (mlp.encoder((1, 28, 28), 100), mlp.decoder(100, (1, 28, 28))):
        for parameter in network.parameters():
            assert abs(parameter.mean()) < 5 * 0.1 / parameter.numel() ** 0.5
            assert abs(parameter.std() - 0.1) < 5 * 0.1 / (2 * parameter.numel()) ** 0.5
    first = next(MLP([200]).encoder((1, 28, 28), 100).parameters())
    assert first.abs().max() <= 784**-0.5  # torch's own: uniform up to 1/√inputs


def test_conv_halves_once_for_each_entry_of_channels() -> None:
    encoder = Conv([4, 8], hidden=10).encoder((1, 28, 28), 6)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride) for c in convolutions] == [(1, 4, (2, 2)), (4, 8, (2, 2))]
    assert widths(encoder) == [(8 * 7 * 7, 10), (10, 6)]


def test_several_hidden_layers_of_conv_are_mirrored() -> None:
    conv = Conv([4, 8], hidden=[10, 9])
    assert widths(conv.encoder((1, 28, 28), 6)) == [(8 * 7 * 7, 10), (10, 9), (9, 6)]
    assert widths(conv.decoder(2, (1, 28, 28))) == [(2, 9), (9, 10), (10, 8 * 7 * 7)]


def test_a_gated_unit_is_a_linear_map_times_the_sigmoid_of_another() -> None:
    encoder, x = MLP([5], "gated").encoder((1, 2, 3), 4), torch.randn(7, 1, 2, 3)
    layer, last = (m for m in encoder.modules() if isinstance(m, nn.Linear))
    (w, v), (b, c) = layer.weight.chunk(2), layer.bias.chunk(2)
    flat = x.flatten(1)
    hidden = (flat @ w.T + b) * torch.sigmoid(flat @ v.T + c)
    torch.testing.assert_close(encoder(x), hidden @ last.weight.T + last.bias)


def test_gated_convolutions_keep_the_widths_asked_for() -> None:
    conv = Conv([4, 8], hidden=10, activation="gated")
    for network in (conv.encoder((1, 28, 28), 6), conv.decoder(2, (1, 28, 28))):
        assert not any(type(m) in ACTIVATIONS.values() for m in network.modules())
        assert sum(isinstance(m, nn.GLU) for m in network.modules()) == 3
    assert widths(conv.encoder((1, 28, 28), 6)) == [(8 * 7 * 7, 20), (10, 6)]
    assert widths(conv.decoder(2, (1, 28, 28))) == [(2, 20), (10, 2 * 8 * 7 * 7)]


def test_the_networks_of_the_disentanglement_papers() -> None:
    """Kim and Mnih (2018), table 2 of the appendix; images of 64×64, 10 latents."""
    conv = Conv([32, 32, 64, 64], hidden=256, activation="relu", kernel=4)
    encoder, decoder = conv.encoder((1, 64, 64), 20), conv.decoder(10, (1, 64, 64))
    assert [tuple(p.shape) for p in encoder.parameters() if p.ndim == 4] == [
        (32, 1, 4, 4), (32, 32, 4, 4), (64, 32, 4, 4), (64, 64, 4, 4),
    ]  # fmt: skip
    assert widths(encoder) == [(64 * 4 * 4, 256), (256, 20)]
    assert widths(decoder) == [(10, 256), (256, 64 * 4 * 4)]
    assert encoder(torch.zeros(2, 1, 64, 64)).shape == (2, 20)
    assert decoder(torch.zeros(2, 10)).shape == (2, 1, 64, 64)


def test_an_even_kernel_takes_any_size_that_leaves_something() -> None:
    conv = Conv([4, 8], 6, kernel=4)
    for shape in ((1, 28, 28), (3, 17, 5), (2, 4, 7)):
        assert conv.decoder(2, shape)(conv.encoder(shape, 2)(torch.zeros(3, *shape))).shape == (3, *shape)
    with pytest.raises(UserError, match=r"^model\.kernel=4: an image of 3×9 shrinks to nothing"):
        conv.encoder((1, 3, 9), 2)
    with pytest.raises(UserError, match=r"^model\.kernel=4"):
        conv.decoder(2, (1, 3, 9))


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_convolutions_of_every_kernel_and_their_transposes_meet(kernel: int) -> None:
    padding = (kernel - 1) // 2
    for size in ((28, 28), (17, 9), (64, 48)):
        large, small = halved_sizes(*size, times=1, kernel=kernel)
        assert nn.Conv2d(1, 1, kernel, stride=2, padding=padding)(torch.zeros(1, 1, *large)).shape[2:] == small
        more = output_padding(small, large, kernel)
        up = nn.ConvTranspose2d(1, 1, kernel, stride=2, padding=padding, output_padding=more)
        assert up(torch.zeros(1, 1, *small)).shape[2:] == large


@pytest.mark.parametrize("architecture", [MLP([8]), MLP([8], "gated"), Conv([3], 8), Conv([3], 8, "gated"), ResNet([3])])
def test_the_last_bias_is_that_of_the_output(architecture: Architecture) -> None:
    decoder = architecture.decoder(2, (3, 4, 4))
    bias, z = last_bias(decoder), torch.randn(5, 2)
    before = decoder(z)
    assert bias is not None
    assert len(bias) in (3, 48)
    with torch.no_grad():
        bias.add_(0.5)
    torch.testing.assert_close(decoder(z), before + 0.5)


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
    sizes = halved_sizes(*size, times=4)
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
        (MLP, {"init_std": 0}),
        (MLP, {"init_std": "small"}),
        (Conv, {"hidden": [16, 0]}),
        (Conv, {"hidden": True}),
        (Conv, {"kernel": 1}),
        (Conv, {"activation": None}),
        (ResNet, {"activation": "gated"}),
        (ResNet, {"channels": []}),
        (ResNet, {"blocks": 0}),
        (ResNet, {"activation": "swish"}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[Any], bad: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=f"^{next(iter(bad))}="):
        kind(**bad)
