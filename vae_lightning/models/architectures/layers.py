"""Helpers shared by the architectures: activations by name, and the image sizes after strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vae_lightning.errors import UserError, check_choice

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


GATED = "gated"  # h = (W x + b) ⊙ sigmoid(V x + c) (Dauphin et al. 2017), W and V as one layer of twice the width


def check_activation(name: str, gated: bool = False) -> str:
    """Check the name of an activation; `gated` allows the gated unit too, which needs a layer twice as wide before it."""
    return check_choice("activation", name, [*ACTIVATIONS, GATED] if gated else ACTIVATIONS)


def activation(name: str, dim: int = 1) -> nn.Module:
    """Return the activation module; `dim` is the dimension that a gated unit halves."""
    return nn.GLU(dim) if name == GATED else ACTIVATIONS[name]()


def pre_activation_width(name: str, width: int) -> int:
    """Return the width that a layer needs for its activation to give `width` units: twice as many for the gated unit."""
    return 2 * width if name == GATED else width


def fully_connected(inputs: int, widths: Sequence[int], name: str) -> list[nn.Module]:
    """Fully connected layers of the given widths, each followed by its activation.

    Args:
        inputs: width of the input.
        widths: width of each layer.
        name: name of the activation.
    """
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, pre_activation_width(name, width)), activation(name)]
        inputs = width
    return layers


def pointwise(inputs: int, widths: Sequence[int], name: str) -> list[nn.Module]:
    """1×1 convolutions of the given widths, each followed by its activation: `fully_connected` at each site of a grid.

    Args:
        inputs: channels of the input.
        widths: channels of each layer.
        name: name of the activation.
    """
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(inputs, pre_activation_width(name, width), 1), activation(name)]
        inputs = width
    return layers


def divided_sizes(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Image sizes before and after each halving, none of which may round.

    Args:
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        times: number of halvings.

    Returns:
        times + 1 pairs (height, width), the image's own first.

    Raises:
        UserError: 2^times does not divide the height and the width.
    """
    stride = 2 ** min(times, 40)  # 2^40 divides no image
    if height % stride or width % stride:
        raise UserError(
            f"posterior.grid: an image of {height}×{width} cannot be halved {times} times without a remainder, as a grid of "
            f"codes needs: use fewer model.channels (one for each halving), or images whose sides {stride:,} divides."
        )
    return [(height >> i, width >> i) for i in range(times + 1)]


def halved_sizes(height: int, width: int, times: int, kernel: int = 3) -> list[tuple[int, int]]:
    """Image sizes before and after each convolution of stride 2 and padding ⌊(kernel − 1)/2⌋.

    Each maps n to ⌈n/2⌉ for an odd kernel and to ⌊n/2⌋ for an even one.

    Args:
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        times: number of convolutions.
        kernel: their kernel size.

    Returns:
        times + 1 pairs (height, width), the image's own first.

    Raises:
        UserError: the image shrinks to nothing.
    """
    up = kernel % 2
    sizes = [(height, width)]
    for _ in range(times):
        sizes.append(((sizes[-1][0] + up) // 2, (sizes[-1][1] + up) // 2))
    if min(sizes[-1]) == 0:
        raise UserError(
            f"model.kernel={kernel}: an image of {height}×{width} shrinks to nothing after {times} downsampling layers; "
            "use an odd kernel or fewer model.channels."
        )
    return sizes


def output_padding(small: tuple[int, int], large: tuple[int, int], kernel: int = 3) -> tuple[int, int]:
    """Return the `output_padding` with which a transposed convolution undoes a halving: n → 2n − (kernel odd) + padding.

    Args:
        small: (height, width) after the halving.
        large: (height, width) before it.
        kernel: kernel size.

    Returns:
        The padding along height and width.
    """
    up = kernel % 2
    return large[0] - (2 * small[0] - up), large[1] - (2 * small[1] - up)


def last_bias(network: nn.Module) -> nn.Parameter | None:
    """Return the bias of the last layer (as registered) that has one."""
    biases = [parameter for name, parameter in network.named_parameters() if name.rpartition(".")[2] == "bias"]
    return biases[-1] if biases else None
