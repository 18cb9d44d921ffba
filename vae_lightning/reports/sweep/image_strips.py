"""Reconstructions and samples of each run side by side: all runs get the same images and the same noise."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_lightning.data.images import pixels
from vae_lightning.noise import StreamNoise, derive_seed
from vae_lightning.plots.displayable import displayable
from vae_lightning.runs.folder import VAE, find_run
from vae_lightning.runs.load_images import Moved, iterate_batches, load_split
from vae_lightning.runs.samplers import load_with_sampler


@dataclass
class Strip:
    """Two rows of images as data URIs: E[x|z] at z = E[z|x] for the shared images, and E[x|z] for z ~ p(z)."""

    label: str
    reconstructions: str
    samples: str


@dataclass
class Strips:
    """The shared images, the strips of each run, and the width and height of a strip in pixels."""

    originals: str
    rows: list[Strip]
    size: tuple[int, int]


def image_strips(labelled: Sequence[tuple[str, Path]], images: int = 8, moved: Moved = None) -> Strips | None:
    """Draw strips of the first validation images, for all runs whose images have the same shape as the first run's.

    Args:
        labelled: (label, run folder) of each run.
        images: the number of images.
        moved: where the data are now, see `runs.load_images.load_data`.

    Returns:
        The strips; None if the data or all checkpoints are missing.
    """
    x: Tensor | None = None
    found: list[Strip] = []
    for label, folder in labelled:
        try:
            run = find_run(folder)
            if x is None:
                batch = next(iterate_batches(load_split(run, "val", moved), images, torch.device("cpu"), images))
                if batch.images.is_floating_point():
                    return None  # numbers that are no image
                x = pixels(batch.images)
            if run.data_spec.shape == tuple(x.shape[1:]):
                found.append(_strip(label, load_with_sampler(run), x, batch.labels))
        except Exception:  # whatever is wrong with one run, the others get their pictures
            continue
    return None if x is None or not found else Strips(data_uri(x), found, (displayable(x).shape[-1] * len(x), x.shape[-2]))


@torch.no_grad()
def _strip(label: str, vae: VAE, x: Tensor, labels: Tensor) -> Strip:
    c = labels if vae.condition.classes else None
    samples = vae.sample(len(x), StreamNoise(torch.Generator(), derive_seed(0, "samples")), c)
    return Strip(label, data_uri(vae.reconstruct(x, c)), data_uri(samples))


def data_uri(images: Tensor) -> str:
    """Return images (N, C, H, W) in [0, 1] side by side as a PNG in a data URI; see `displayable` for C other than 1 and 3."""
    row = torch.cat(list(displayable(images.clamp(0, 1))), dim=-1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(row.squeeze(-1) if row.shape[-1] == 1 else row))
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
