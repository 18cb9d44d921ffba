"""Export the encoder and decoder to ONNX or safetensors; each file is checked against torch after it is written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_lightning.errors import RunError
from vae_lightning.files import atomic_path
from vae_lightning.models.vae import VAE

TOLERANCE = 1e-5
BATCHES = (2, 5)  # batch sizes: traced with the first, checked with both


class Encoder(nn.Module):
    """x (batch, C, H, W) in [0, 1] → `code` E_q[z|x] (batch, latent_dim), or (batch, C, h, w) on a grid."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, *c: Tensor) -> Tensor:
        return self.vae.encode(x, *c).mean.view(-1, *self.vae.code_shape)


class Decoder(nn.Module):
    """z (batch, latent_dim), or (batch, C, h, w) on a grid → `image` E[x|z] (batch, C, H, W)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, *c: Tensor) -> Tensor:
        return self.vae.decode(z.flatten(1), *c).mean


def exported_modules(vae: VAE) -> dict[str, tuple[nn.Module, str, str]]:
    """Return file name → (module, name of its input, name of its output)."""
    return {"encoder": (Encoder(vae), "x", "code"), "decoder": (Decoder(vae), "z", "image")}


def example_inputs(vae: VAE, name: str, batch: int) -> tuple[Tensor, ...]:
    """Make example inputs: images or latents, and labels for a conditional VAE.

    Args:
        vae: the model.
        name: "encoder" or "decoder".
        batch: number of examples.

    Returns:
        Images (batch, channels, height, width) or latents (batch, *vae.code_shape), and labels (batch,) for a conditional VAE.
    """
    generator = torch.Generator().manual_seed(batch)
    first = (
        torch.rand(batch, *vae.shape, generator=generator)
        if name == "encoder"
        else torch.randn(batch, *vae.code_shape, generator=generator)
    )
    c = vae.condition.labels_for(None, batch, torch.device("cpu"))
    return (first,) if c is None else (first, c)


def to_onnx(vae: VAE, folder: Path) -> dict[Path, float]:
    """Write `encoder.onnx` and `decoder.onnx` with a dynamic batch.

    Returns:
        The largest difference from torch for each file.

    Raises:
        RunError: a difference exceeds 1e-5.
    """
    import onnxruntime

    errors = {}
    for name, (module, given, found) in exported_modules(vae).items():
        path, inputs = folder / f"{name}.onnx", example_inputs(vae, name, BATCHES[0])
        names = [given, "c"][: len(inputs)]
        _write_onnx(module.eval(), inputs, names, found, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        errors[path] = max(
            _difference(
                torch.from_numpy(session.run(None, dict(zip(names, (i.numpy() for i in batch), strict=True)))[0]), module(*batch)
            )
            for batch in (example_inputs(vae, name, size) for size in BATCHES)
        )
    return _checked(errors)


def _write_onnx(module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], found: str, path: Path) -> None:
    batch = torch.export.Dim("batch")
    dynamic: Any = {"x" if "x" in names else "z": {0: batch}}
    if len(inputs) > 1:
        dynamic["c"] = ({0: batch},)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            module, inputs, dynamo=True, dynamic_shapes=dynamic, input_names=names, output_names=[found], verbose=False
        )
    assert program is not None
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)


def to_safetensors(vae: VAE, folder: Path) -> dict[Path, float]:
    """Write `vae.safetensors`: every weight by its name in `VAE.state_dict()`.

    Returns:
        The largest difference after reading the file back.
    """
    from safetensors.torch import load_file, save_file

    path = folder / "vae.safetensors"
    weights = {name: weight.contiguous() for name, weight in vae.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary)
    back = load_file(path)
    if set(back) != set(weights):
        raise RunError(f"{path} does not hold the weights that were written to it: export again.")
    return _checked({path: max(_difference(back[name], weight) for name, weight in weights.items())})


def write_readme(vae: VAE, folder: Path, scale: tuple[float, int] | None) -> Path:
    """Write `README.md`: the shapes of images and codes, and how to scale codes for a second model.

    Args:
        vae: a VAE with a grid of codes.
        folder: where to write.
        scale: 1/s of the codes and the number of training images it was measured on; None if it was not measured.

    Returns:
        The path.
    """
    shapes = {"image x": (*vae.shape,), "code z": vae.code_shape, "encoder's output": (vae.posterior.features,)}
    rows = [f"| {name} | ({', '.join(map(str, shape))}) |" for name, shape in shapes.items()]
    factor = "not measured, since the training images were not there" if scale is None else f"{scale[0]:.6g}"
    measured = "" if scale is None else f" It was measured on {scale[1]:,} training images."
    channels, height, width = vae.code_shape
    lines = [
        "# Exported autoencoder",
        "",
        "| what | shape, without the batch |",
        "|---|---|",
        *rows,
        "",
        f"- Images are in [0, 1]. Codes have {channels} channels at {height}×{width} sites.",
        f"- As a vector, a code is flattened channel by channel: `z.view(-1, {channels}, {height}, {width})` are its maps.",
        "- `encoder.onnx` and `decoder.onnx`, if exported, take and give maps.",
        "- `vae.safetensors` holds every weight by its name in `VAE.state_dict()`.",
        f"- scaling_factor: {factor}",
        "",
        f"scaling_factor is 1/s, with s the standard deviation of all numbers of z ~ q(z|x).{measured}",
        "As in latent diffusion, train a second model on `scaling_factor * z`, and decode `z / scaling_factor`.",
        "",
    ]
    path = folder / "README.md"
    with atomic_path(path) as temporary:
        Path(temporary).write_text("\n".join(lines), encoding="utf-8")
    return path


FORMATS = {"onnx": to_onnx, "safetensors": to_safetensors}


def _difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, relative to values above 1, which numbers that are no image may have."""
    b = b.detach().double()
    return ((a.double() - b).abs() / b.abs().clamp_min(1)).max().item() if a.numel() else 0.0


def _checked(errors: dict[Path, float]) -> dict[Path, float]:
    for path, error in errors.items():
        if not error <= TOLERANCE:
            raise RunError(f"{path} differs from torch by {error:.2g}, which is more than {TOLERANCE:g}: do not use it.")
    return errors
