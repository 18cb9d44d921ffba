"""How close reconstructions are to their images: mean squared error and structural similarity."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_lightning.data.images import Batch, pixels
from vae_lightning.evaluation.measure_result import MeasureResult
from vae_lightning.models.vae import VAE

WINDOW, SIGMA = 11, 1.5  # Wang et al. 2004


@torch.no_grad()
def evaluate_reconstructions(vae: VAE, batches: Iterable[Batch]) -> MeasureResult:
    """Compare images x, as the model sees them, with E[x|z] at z = E[z|x], pixels in [0, 1].

    - mse: mean squared error over pixels.
    - ssim: see `ssim`, for images of at least 6×6 pixels.

    Returns:
        The metrics, means over images with standard errors.
    """
    squared, similar = [], []
    for batch in batches:
        x = pixels(batch.images)
        x_hat = vae.reconstruct(x, batch.labels).float()
        squared.append((x - x_hat).square().flatten(1).mean(1).cpu())
        if min(x.shape[-2:]) > WINDOW // 2:
            similar.append(ssim(x, x_hat.clamp(0, 1)).cpu())
    found = MeasureResult()
    found.add_mean("mse", torch.cat(squared))
    if similar:
        found.add_mean("ssim", torch.cat(similar))
    else:
        found.notes.append(f"ssim was not measured: the images are too small for its window of {WINDOW}×{WINDOW} pixels.")
    return found


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, eq. 13), at most 1, (N,).

    The mean over channels and pixels, with an 11×11 Gaussian window (σ = 1.5) and mirrored edges, K1 = 0.01 and K2 = 0.03. Equal
    to torchmetrics', which takes seconds to import.

    Args:
        x: images (N, C, H, W) in [0, 1].
        y: images of the same shape.
    """
    offset = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    line = torch.exp(-(offset**2) / (2 * SIGMA**2))
    window = line.outer(line) / line.sum() ** 2
    channels = x.shape[1]
    maps = F.pad(torch.cat([x, y, x * x, y * y, x * y], 1), [WINDOW // 2] * 4, mode="reflect")
    local = F.conv2d(maps, window.expand(5 * channels, 1, WINDOW, WINDOW), groups=5 * channels)
    mean_x, mean_y, xx, yy, xy = local.split(channels, 1)
    variance_x, variance_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)).flatten(1).mean(1)
