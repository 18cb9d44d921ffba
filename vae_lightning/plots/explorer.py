"""An interactive page to explore the latent space: one HTML file that runs the decoder, without a server or external links."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_lightning.errors import UserError
from vae_lightning.models.architectures.resnet import ResidualBlock
from vae_lightning.models.architectures.unet_kl import Attention, NormedBlock
from vae_lightning.models.grids import ToGrid
from vae_lightning.models.vae import VAE

TEMPLATE = Path(__file__).with_name("explorer.html")
GREY_LEVEL = 1 / 255
Layer = dict[str, Any]


class Weights:
    """All weights of the page, concatenated; each layer holds the (start, length) of its own."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.length = 0

    def add(self, weight: Tensor | None, size: int) -> list[int]:
        """Append a weight and return its span; zeros for a layer without a bias."""
        values = np.zeros(size, np.float32) if weight is None else weight.detach().cpu().float().numpy().ravel()
        self.parts.append(values)
        self.length += len(values)
        return [self.length - len(values), len(values)]

    def encoded(self, precision: str) -> str:
        """Return all weights in `precision` ("float16" or "float32") as base64."""
        return base64.b64encode(np.concatenate(self.parts).astype(np.dtype(precision)).tobytes()).decode()


def layers(module: nn.Module, weights: Weights) -> list[Layer]:
    """Return a decoder as a list of layers that the page can run; raise UserError for any other."""
    for kind, described in DESCRIBED.items():
        if type(module) is kind:
            return described(module, weights)
    raise UserError(
        f"explore cannot run a decoder with {type(module).__name__} in a page; it knows those of model=mlp, conv, resnet "
        "and unet_kl."
    )


def _pointwise(kind: str) -> Callable[[nn.Module, Weights], list[Layer]]:
    return lambda module, weights: [{"kind": kind}]


def _sequential(module: nn.Sequential, weights: Weights) -> list[Layer]:
    return [layer for part in module for layer in layers(part, weights)]


def _linear(module: nn.Linear, weights: Weights) -> list[Layer]:
    spans = {"weight": weights.add(module.weight, 0), "bias": weights.add(module.bias, module.out_features)}
    return [{"kind": "linear", "inputs": module.in_features, "outputs": module.out_features, **spans}]


def _conv(module: nn.Conv2d | nn.ConvTranspose2d, weights: Weights) -> list[Layer]:
    spans = {"weight": weights.add(module.weight, 0), "bias": weights.add(module.bias, module.out_channels)}
    sizes = {"outputs": module.out_channels, "kernel": module.kernel_size[0]}
    steps = {"stride": module.stride[0], "padding": module.padding[0]}
    if isinstance(module, nn.ConvTranspose2d):
        return [{"kind": "conv_transpose", "output_padding": list(module.output_padding), **sizes, **steps, **spans}]
    return [{"kind": "conv", **sizes, **steps, **spans}]


def _group_norm(module: nn.GroupNorm, weights: Weights) -> list[Layer]:
    spans = {"weight": weights.add(module.weight, 0), "bias": weights.add(module.bias, 0)}
    return [{"kind": "group_norm", "groups": module.num_groups, "epsilon": module.eps, **spans}]


def _normed_block(module: NormedBlock, weights: Weights) -> list[Layer]:
    return [
        {"kind": "residual", "layers": layers(module.residual, weights), "shortcut": layers(module.shortcut, weights)},
    ]


def _attention(module: Attention, weights: Weights) -> list[Layer]:
    inside = [*layers(module.norm, weights), *layers(module.queries_keys_values, weights), {"kind": "attend"}]
    return [{"kind": "residual", "layers": [*inside, *layers(module.output, weights)]}]


DESCRIBED: dict[type[nn.Module], Callable[[Any, Weights], list[Layer]]] = {
    nn.Sequential: _sequential,
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv,
    nn.Unflatten: lambda module, weights: [{"kind": "reshape", "shape": list(module.unflattened_size)}],
    nn.Upsample: lambda module, weights: [{"kind": "upsample", "size": list(module.size)}],
    ResidualBlock: lambda module, weights: [{"kind": "residual", "layers": layers(module.residual, weights)}],
    nn.GroupNorm: _group_norm,
    NormedBlock: _normed_block,
    Attention: _attention,
    ToGrid: lambda module, weights: [{"kind": "grid", "channels": module.channels, "grid": list(module.grid)}],
    nn.LeakyReLU: lambda module, weights: [{"kind": "leaky_relu", "slope": module.negative_slope}],
    **{
        kind: _pointwise(name)
        for kind, name in (
            *((nn.ReLU, "relu"), (nn.ELU, "elu"), (nn.GELU, "gelu"), (nn.SiLU, "silu"), (nn.Tanh, "tanh")),
            *((nn.Softplus, "softplus"), (nn.Sigmoid, "sigmoid"), (nn.Identity, "identity")),
        )
    },
}
MEANS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "identity": lambda x: x}


@torch.no_grad()
def mean_of_parameters(vae: VAE, z: Tensor, c: Tensor | None) -> str:
    """Return how E[x|z] follows from the decoder's first channels: `sigmoid` or `identity`; raise UserError if neither.

    Args:
        vae: the model.
        z: latents to try it on, (n, latent_dim).
        c: labels, (n,), of a conditional VAE.
    """
    channels = vae.shape[0]
    parameters = vae.decoder(vae.condition.decoder_input(z[:, : vae.decoder_dim], c))[:, :channels]
    mean = vae.decode(z, c).mean
    for name, function in MEANS.items():
        if parameters.shape == mean.shape and torch.allclose(function(parameters), mean, atol=1e-5):
            return name
    raise UserError(
        "explore cannot draw this likelihood in a page; it knows those whose mean is the decoder's output or its sigmoid."
    )


@torch.no_grad()
def choose_precision(vae: VAE, z: Tensor, c: Tensor | None) -> str:
    """float16 if rounding the weights to it changes no pixel by more than a quarter of a grey level, else float32.

    Args:
        vae: the model.
        z: latents to try it on, (n, latent_dim).
        c: labels, (n,), of a conditional VAE.
    """
    exact = vae.decode(z, c).mean
    kept = {name: weight.clone() for name, weight in vae.decoder.state_dict().items()}
    for weight in vae.decoder.state_dict().values():
        weight.copy_(weight.half())
    rounded = vae.decode(z, c).mean
    vae.decoder.load_state_dict(kept)
    return "float16" if bool((rounded - exact).abs().max() < GREY_LEVEL / 4) else "float32"


@torch.no_grad()
def page(
    vae: VAE,
    name: str,
    axes: str,
    x: Tensor,
    labels: Tensor,
    kl: Sequence[float] | None,
    starts: int = 60,
    class_names: Sequence[str] | None = None,
) -> str:
    """Return the page for a VAE on the CPU.

    Args:
        vae: the model.
        name: its name, for the title.
        axes: a description of the run.
        x: images whose codes are shown, (N, C, H, W) in [0, 1].
        labels: labels of these images, (N,).
        kl: nats of each latent dimension, or None.
        starts: how many of the images can be chosen as a starting point.
        class_names: the names of labels 0, 1 …, if they have any.

    Returns:
        HTML.
    """
    conditional = vae.condition.classes > 0
    codes = vae.encode(x, labels).mean
    c = labels[:starts] if conditional else None
    weights = Weights()
    model: dict[str, Any] = {
        "name": name,
        "axes": axes,
        "shape": list(vae.shape),
        "latent_dim": vae.latent_dim,
        "decoded": vae.decoder_dim,
        "grid": list(vae.posterior.grid or []),
        "layers": layers(vae.decoder, weights),
        "mean": mean_of_parameters(vae, codes[:starts], c),
        "given": _given(vae) if conditional else [],
        "reach": round(max(3.0, float(codes.abs().quantile(0.995)) * 1.1), 1),
        "kl": None if kl is None else [round(value, 4) for value in kl],
        **_shown_codes(codes, labels, x, starts),
        "class_names": list(class_names or []),
        "draws": _draws(vae),
        "source": "p(z)" if vae.sampler is None else vae.sampler.name,
    }
    model["precision"] = choose_precision(vae, codes[:starts], c)
    model["weights"] = weights.encoded(model["precision"])
    return TEMPLATE.read_text(encoding="utf-8").replace("/*MODEL*/null", script_literal(model))


def _shown_codes(codes: Tensor, labels: Tensor, x: Tensor, starts: int) -> dict[str, Any]:
    """Return the codes of a plane with their labels, and the first `starts` codes with their labels and images."""
    plane = codes.shape[1] == 2
    return {
        "codes": _rounded(codes) if plane else [],
        "code_labels": labels.tolist() if plane else [],
        "starts": _rounded(codes[:starts]),
        "start_labels": labels[:starts].tolist(),
        "images": base64.b64encode((x[:starts] * 255).round().byte().cpu().numpy().tobytes()).decode(),
    }


def script_literal(content: dict[str, Any]) -> str:
    """Return `content` as a literal for a `<script>` of a page.

    Every `<` is escaped: `</script>` would end the script, and after `<!--<script>` its own end would not be one.
    """
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _given(vae: VAE) -> list[list[float]]:
    """Return what the decoder sees besides z for each class."""
    classes = torch.arange(vae.condition.classes)
    return _rounded(vae.condition.decoder_input(torch.zeros(len(classes), vae.decoder_dim), classes)[:, vae.decoder_dim :], 6)


def _draws(vae: VAE, n: int = 200) -> list[list[float]]:
    """Draw z from the prior or the VAE's sampler, for the page's button."""
    from vae_lightning.noise import StreamNoise, derive_seed

    c = vae.condition.labels_for(None, n, torch.device("cpu"))
    return _rounded(vae.sample_latents(n, StreamNoise(torch.Generator(), derive_seed(0, "explorer")), c))


def _rounded(values: Tensor, digits: int = 4) -> list[Any]:
    return np.round(values.double().cpu().numpy(), digits).tolist()
