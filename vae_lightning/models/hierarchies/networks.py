"""The small networks between layers, and the Gaussians that they parametrise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae_lightning.models.architectures.layers import activation, pre_activation_width
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal
from vae_lightning.models.distributions.hierarchical import concatenate

Network = Callable[[Tensor], Tensor]


def mlp(inputs: int, hidden: Sequence[int], outputs: int, activation_name: str) -> nn.Sequential:
    """Return a fully connected network (..., inputs) → hidden[0] → hidden[1] → … → (..., outputs).

    Args:
        inputs: width of the input.
        hidden: width of each hidden layer.
        outputs: width of the output.
        activation_name: name of the activation.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, pre_activation_width(activation_name, width)), activation(activation_name, -1)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def gaussian(parameters: Tensor) -> DiagonalNormal:
    """N(μ, diag σ²) from (..., 2·size): μ and log σ²."""
    mean, log_variance = parameters.float().chunk(2, dim=-1)  # float32 also under mixed precision
    return DiagonalNormal(mean, (0.5 * log_variance).exp())


def precision_weighted(a: DiagonalNormal, b: DiagonalNormal) -> DiagonalNormal:
    """N(μ, σ²), σ⁻² = σ_a⁻² + σ_b⁻², μ = σ²·(μ_a σ_a⁻² + μ_b σ_b⁻²) (Sønderby et al. 2016, section 2.1)."""
    weight = 1 / (1 + (a.scale / b.scale).square())  # a's share of the precision
    return DiagonalNormal(torch.lerp(b.loc, a.loc, weight), a.scale * weight.sqrt())


class ConditionalGaussian:
    """Maps z to the next layer's N(μ, diag σ²), by a network of z, or of z and `features` of the image."""

    def __init__(self, network: Network, features: Tensor | None = None) -> None:
        self.network, self.features = network, features

    def __call__(self, z: Tensor) -> DiagonalNormal:
        return gaussian(self.network(z if self.features is None else concatenate(self.features, z)))

    def detached(self) -> ConditionalGaussian:
        return ConditionalGaussian(with_constant_weights(self.network), None if self.features is None else self.features.detach())


class CombinedGaussian:
    """Combines what the image says of the next layer (`features`: μ̂ and log σ̂²) with what the prior says given z."""

    def __init__(self, prior: ConditionalGaussian, features: Tensor) -> None:
        self.prior, self.features = prior, features

    def __call__(self, z: Tensor) -> DiagonalNormal:
        return precision_weighted(gaussian(self.features), self.prior(z))

    def detached(self) -> CombinedGaussian:
        return CombinedGaussian(self.prior.detached(), self.features.detach())


def with_constant_weights(network: Network) -> Network:
    """Return the network with its weights held constant."""
    if not isinstance(network, nn.Module):
        return network
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return lambda inputs: functional_call(network, weights, (inputs,))
