"""Turns the batches of an ordinary DataLoader, tensors or (images, labels) pairs, into the `Batch` that the module takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vae_lightning.data.binarization import binarize_batch
from vae_lightning.data.images import Batch
from vae_lightning.errors import UserError

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


def as_batch(batch: object, shape: tuple[int, int, int], first: int = 0, step: int = 1) -> Batch:
    """Return a batch of images as uint8, with their labels and numbers; return a `Batch` as it is.

    Args:
        batch: images, or a sequence of images and labels. Images are (batch, channels, height, width), or (batch, height, width)
            if there is one channel; their values are floats in [0, 1], which are rounded to k/255, uint8 in 0 … 255, or bool.
            Labels are integers (batch,); anything else counts as no label.
        shape: (channels, height, width) of the model.
        first: the number of the first image.
        step: the difference between the numbers of successive images.

    Raises:
        UserError: the batch has no images, or their shape, dtype or range is wrong.
    """
    if isinstance(batch, Batch):
        return batch
    images, labels = _parts(batch)
    if images.dim() == 3 and shape[0] == 1:
        images = images.unsqueeze(1)
    if images.dim() != 4 or tuple(images.shape[1:]) != shape:
        raise UserError(
            f"A batch has images of shape {tuple(images.shape[1:])}, but the VAE takes {shape} (channels, height, width): resize "
            "them in the data set's transform, or build the VAE for this shape."
        )
    numbers = first + step * torch.arange(len(images), device=images.device)
    return Batch(_as_uint8(images), _as_classes(labels, images), numbers)


def convert(module: VAEModule, batch: object) -> Batch:
    """Call `as_batch` for a module, which counts the images of an epoch; draw binary pixels of val and test once and for all."""
    world, split = module.trainer.world_size, "test" if module.trainer.testing else "val"
    found = as_batch(batch, module.vae.shape, module.plain_images * world + module.global_rank, world)
    module.plain_images += len(found.examples)
    if not module.dynamic or module.trainer.training:
        return found
    return found._replace(images=binarize_batch(found.images, found.examples, split))


def _parts(batch: object) -> tuple[Tensor, object]:
    """Return the images, and the labels or None."""
    parts = [batch] if isinstance(batch, Tensor) else list(batch) if isinstance(batch, Sequence) else []
    if not parts or not isinstance(parts[0], Tensor):
        raise UserError(
            f"A batch is a {type(batch).__name__}, but must be a tensor of images or a pair of images and labels; PIL images "
            "need a transform to tensors, such as torchvision's ToTensor()."
        )
    return parts[0], parts[1] if len(parts) > 1 else None


def _as_uint8(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    if images.dtype == torch.bool:
        return images.to(torch.uint8) * 255
    if not images.is_floating_point():
        raise UserError(f"A batch has images of dtype {images.dtype}: they must be uint8, or floats in [0, 1].")
    low, high = (float(value) for value in images.aminmax())
    if not (low >= 0 and high <= 1):  # this is also true of NaN
        raise UserError(
            f"A batch has images with values from {low:.4g} to {high:.4g}: they must be floats in [0, 1], or uint8; leave out a "
            "transform such as Normalize."
        )
    return (images * 255).round().to(torch.uint8)


def _as_classes(labels: object, images: Tensor) -> Tensor:
    """Return the labels as int64 (batch,); −1 if there are none."""
    if isinstance(labels, Tensor) and not labels.is_floating_point() and labels.shape == (len(images),):
        return labels.to(torch.int64)
    return torch.full((len(images),), -1, device=images.device)
