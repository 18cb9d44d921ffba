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
    """x (batch, C, H, W) in [0, 1] → `code` E_q[z|x] (batch, latent_dim)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, *c: Tensor) -> Tensor:
        return self.vae.encode(x, *c).mean


class Decoder(nn.Module):
    """z (batch, latent_dim) → `image` E[x|z] (batch, C, H, W)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, *c: Tensor) -> Tensor:
        return self.vae.decode(z, *c).mean


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
        Images (batch, channels, height, width) or latents (batch, latent_dim), and labels (batch,) for a conditional VAE.
    """
    generator = torch.Generator().manual_seed(batch)
    first = (
        torch.rand(batch, *vae.shape, generator=generator)
        if name == "encoder"
        else torch.randn(batch, vae.latent_dim, generator=generator)
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
