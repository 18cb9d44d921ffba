"""What a measure is given: a trained VAE, the images to measure it on, and their codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vae_lightning.data.base import ImageData
from vae_lightning.data.images import Batch, Images
from vae_lightning.evaluation.at_once import images_at_once
from vae_lightning.evaluation.codes import Codes, encode_split
from vae_lightning.evaluation.measure_result import evenly_spaced
from vae_lightning.models.vae import VAE


@dataclass
class EvaluationContext:
    """A VAE on one split of its data.

    Args:
        vae: the trained VAE, on `device`.
        device: where to compute.
        data: the data set, before binarisation.
        split: the images to measure, binarised as validation images are.
        split_name: `train`, `val` or `test`.
        load_split: loads another split by name, binarised in the same way.
        batch_size: images in a batch, and fewer if they are large.
        grey: whether grey pixels are measured under a likelihood of binary ones, so that no value is a log-likelihood.
        advance: called as `advance(images, total)` after each batch of a long measure.
        attach_sampler: lets the VAE draw from the run's sampler, fitted if need be, and says what that is.
        nll: the nll of each image, once measured; NaN if an image was not measured.
    """

    vae: VAE
    device: torch.device
    data: ImageData
    split: Images
    split_name: str
    load_split: Callable[[str], Images]
    batch_size: int = 100
    grey: bool = False
    advance: Callable[[int, int], None] = lambda images, total: None
    attach_sampler: Callable[[], str] = lambda: "from the prior"
    nll: torch.Tensor | None = None

    @cached_property
    def codes(self) -> Codes:
        """The codes of the split, encoded when first asked for."""
        return encode_split(self.vae, self.batches(), self.split_name)

    def batches(self, images: int | None = None, split: Images | None = None) -> list[Batch]:
        """Return batches on the device of `images` evenly spaced images (None: all) of `split`, by default the measured one."""
        whole = self.split if split is None else split
        indices = evenly_spaced(len(whole), images)
        return [whole[part].to(self.device) for part in indices.split(images_at_once(self.vae.shape, self.batch_size))]

    def count(self, images: int | None) -> int:
        """Return how many images `batches(images)` gives."""
        return len(self.split) if images is None else min(images, len(self.split))

    def per_image(self) -> dict[str, np.ndarray]:
        """Return arrays over the split's images: examples, labels, elbo, reconstruction, kl, nll, codes and factors, if known."""
        codes = self.codes
        arrays = {"examples": codes.examples, "labels": codes.labels, "elbo": codes.elbo, "kl": codes.kl, "codes": codes.mean}
        arrays |= {"reconstruction": codes.reconstruction, "nll": self.nll, "factors": self.split.factors}
        return {name: array.numpy() for name, array in arrays.items() if array is not None}
