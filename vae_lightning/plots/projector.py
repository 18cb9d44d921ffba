"""TensorBoard's projector: codes to rotate in space, each with its label and image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vae_lightning.data.images import Images, pixels
from vae_lightning.files import write_text
from vae_lightning.models.vae import VAE
from vae_lightning.plots.displayable import displayable
from vae_lightning.plots.images import save_png, tile

SPRITE_SIDE = 8192  # pixels, the largest that TensorBoard shows


@torch.no_grad()
def write_projection(vae: VAE, split: Images, log_dir: Path, images: int, names: Sequence[str] | None = None) -> Path:
    """Write the codes E[z|x] of the first `images` images of a split, their labels, and a sprite sheet of thumbnails.

    `projector_config.pbtxt` is written next to the event files, where TensorBoard looks for it. It names three files in
    `projector/`: codes.tsv, a row of latent_dim numbers per image; labels.tsv; images.png, the images row by row on a square
    sheet.

    Args:
        vae: the model.
        split: the images.
        log_dir: the folder of the event files.
        images: number of images.
        names: the names of labels 0, 1 …, if they have any.

    Returns:
        The path of the configuration.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig  # half a second to import

    drawn = not split.stored.is_floating_point()  # numbers that are no image have no thumbnails
    height, width = displayable(split.first(1).images).shape[-2:]
    most = (SPRITE_SIDE // max(height, width)) ** 2 if drawn else images
    shown = split[torch.arange(min(images, len(split), most))]
    batch = shown.to(next(vae.parameters()).device)
    codes = vae.encode(pixels(batch.images), batch.labels).mean.cpu().numpy()
    folder = log_dir / "projector"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "codes.tsv", "\n".join("\t".join(f"{value:.5g}" for value in code) for code in codes))
    write_text(folder / "labels.tsv", "\n".join(_name(label, names) for label in shown.labels.tolist()))
    if drawn:
        save_png(sheet(shown.images.numpy()), folder / "images.png")
    config = ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="test codes")
    embedding.tensor_path, embedding.metadata_path = "projector/codes.tsv", "projector/labels.tsv"
    if drawn:
        embedding.sprite.image_path = "projector/images.png"
        embedding.sprite.single_image_dim.extend([width, height])
    write_text(log_dir / "projector_config.pbtxt", text_format.MessageToString(config))
    return log_dir / "projector_config.pbtxt"


def _name(label: int, names: Sequence[str] | None) -> str:
    if label < 0:
        return "none"
    return str(label) if names is None else " ".join(names[label].split())  # a tab would end the column


def sheet(images: np.ndarray) -> np.ndarray:
    """Images uint8 (N, C, H, W) row by row on a square of ⌈√N⌉ × ⌈√N⌉, as the projector expects: (height, width[, 3])."""
    side = math.ceil(math.sqrt(len(images)))
    filled = np.zeros((side * side, *images.shape[1:]), dtype=np.uint8)
    filled[: len(images)] = images
    canvas, _ = tile(filled.reshape(side, side, *images.shape[1:]), 0, 1)
    return canvas.astype(np.uint8)
