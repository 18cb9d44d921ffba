"""What is checked of the x that a VAE is given by hand: without it, pixels of 0 to 255 give codes of a thousand, silently."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_lightning.errors import UserError

ROUNDING = 1e-4  # by which pixels may leave [0, 1], from rounding or interpolation
RECONSTRUCTED = 0.5  # by which pixels may leave [0, 1] that a model of any numbers has made


def check_input(x: Tensor, shape: tuple[int, int, int], dtype: torch.dtype, slack: float | None) -> None:
    """Raise UserError unless x is what the model was made for. It reads values, so it waits for a GPU.

    Args:
        x: what the VAE was given.
        shape: (channels, height, width) that it takes.
        dtype: of its weights.
        slack: by how much values may leave [0, 1], for pixels; None for any numbers.
    """
    if not isinstance(x, Tensor):
        raise UserError(f"x is a {type(x).__name__}: it must be a tensor, (batch, {', '.join(map(str, shape))}).")
    expected = "floats" if slack is None else "float values in [0, 1]"
    if not x.is_floating_point() or (x.dtype == torch.float64 and dtype != torch.float64):
        how = "x.float() / 255" if x.dtype == torch.uint8 and slack is not None else "x.float()"
        raise UserError(f"x is {str(x.dtype).removeprefix('torch.')}: it must be {expected}; pass {how}.")
    if tuple(x.shape[-3:]) != tuple(shape) or x.ndim < 4:
        raise UserError(f"x has the shape {tuple(x.shape)}: it must be (batch, {', '.join(map(str, shape))}).")
    if x.numel() == 0:
        return
    low, high = (float(end) for end in x.detach().aminmax())
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # aminmax of values with a NaN is NaN
        raise UserError("x holds NaN or infinity: all values must be finite.")
    if slack is not None and (low < -slack or high > 1 + slack):
        hint = "; divide by 255" if low >= 0 and 1.5 < high <= 255 else ""
        raise UserError(f"x has values from {low:.4g} to {high:.4g}: they must be pixels in [0, 1]{hint}.")
