"""What architectures share: activations by name, and the sizes that strided convolutions go through."""

from __future__ import annotations

from torch import nn

from vae_lightning.errors import check_choice

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


def check_activation(name: str) -> str:
    return check_choice("activation", name, ACTIVATIONS)


def activation(name: str) -> nn.Module:
    return ACTIVATIONS[name]()


def halvings(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """(height, width) before and after each convolution of kernel 3, stride 2, padding 1, which maps n to ceil(n/2)."""
    sizes = [(height, width)]
    for _ in range(times):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def output_padding(small: tuple[int, int], large: tuple[int, int]) -> tuple[int, int]:
    """What a transposed convolution of kernel 3, stride 2, padding 1 has to add to undo a halving: n → 2n − 1 + padding."""
    return large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1)
