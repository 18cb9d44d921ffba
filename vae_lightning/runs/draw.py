"""Drawing a trained run: for generate.py and from Python alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vae_lightning.config.fitting_sampler import as_config
from vae_lightning.data.images import Images
from vae_lightning.errors import RunError
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.models.vae import VAE
from vae_lightning.plots.context import PictureContext
from vae_lightning.plots.pictures import PICTURES, Picture
from vae_lightning.runs.folder import Run, load_vae
from vae_lightning.runs.load_images import Moved, choose_device, iterate_batches, load_split
from vae_lightning.runs.samplers import attach_sampler

KL_IMAGES = 2000  # images whose KL sorts the latent dimensions


@dataclass
class DrawingContext:
    """A run to draw: its VAE on `device`, and a split of its images, loaded when first asked for.

    Args:
        run: a run, from `find_run`.
        vae: its VAE.
        device: where the VAE is.
        split_name: `train`, `val` or `test`.
        moved: where the data are now, see `load_data`.
        seed: seed of the samples.
        drawn: what samples are drawn from, in words.
    """

    run: Run
    vae: VAE
    device: torch.device
    split_name: str = "test"
    moved: Moved = None
    seed: int = 0
    drawn: str = "from the prior"

    @cached_property
    def split(self) -> Images:
        """The images of the split."""
        return load_split(self.run, self.split_name, self.moved)

    @cached_property
    def picture_context(self) -> PictureContext:
        """What pictures are drawn from; images and KL are loaded when a picture first needs them."""
        return PictureContext(
            self.vae,
            lambda: self.split,
            self.split_name,
            load_kl=self.kl_per_dimension,
            seed=self.seed,
            folder=self.run.folder,
            class_names=self.run.data_spec.class_names,
        )

    def kl_per_dimension(self) -> list[float] | None:
        """Return the nats in each latent dimension, over the first images; None if q or p does not factorise."""
        batches = iterate_batches(self.split, 500, self.device, KL_IMAGES)
        return evaluate_elbo(self.vae, batches, self.split_name).kl_per_dimension()


def draw_run(
    run: Run,
    what: Sequence[Picture] | None = None,
    folder: Path | None = None,
    *,
    split: str = "test",
    moved: Moved = None,
    device: str = "auto",
    seed: int = 0,
    sampler: str | Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw pictures of a run.

    Args:
        run: a run, from `find_run`.
        what: the pictures, such as `[SamplesPicture(rows=4)]`; None: all that apply to this run.
        folder: where to write; None: `generated/` in the run folder.
        split: the split of the images to encode.
        moved: where the data are now, see `load_data`.
        device: `auto`, `cpu` or `cuda`.
        seed: seed of the samples.
        sampler: what samples are drawn from, such as `"gmm"`, or a node of the configuration; None: the run's own. One that is
            not in the run yet is fitted and kept there.

    Returns:
        The paths of the files.

    Raises:
        UserError: one of the pictures does not apply to this run, or there are too few images for it.
        RunError: a file is damaged or cannot be written.
    """
    context = prepare_drawing(run, split, moved, device, seed, sampler)
    return save_pictures_of(context, choose_pictures(context, what), folder)


def prepare_drawing(
    run: Run, split: str, moved: Moved, device: str, seed: int, sampler: str | Mapping[str, Any] | None = None
) -> DrawingContext:
    """Load the run's VAE and its sampler; the arguments are those of `draw_run`."""
    torch_device = choose_device(device)
    vae = load_vae(run).to(torch_device)
    vae.checks_input = False  # images come from the data set
    drawn = attach_sampler(run, vae, as_config(sampler), moved)
    return DrawingContext(run, vae, torch_device, split, moved, seed, drawn)


def choose_pictures(context: DrawingContext, what: Sequence[Picture] | None) -> Sequence[Picture]:
    """Return `what` if it applies to this run; None: every picture that applies, with default settings.

    Raises:
        UserError: one of the pictures does not apply to the run.
    """
    if what is None:
        made = [make() for make in PICTURES.values() if make.in_generate]
        return [picture for picture in made if picture.applies_to(context.picture_context)]
    for picture in what:
        picture.check(context.vae)
    return what


def save_pictures_of(context: DrawingContext, pictures: Sequence[Picture], folder: Path | None = None) -> list[Path]:
    """Draw each picture and write it to the folder.

    Args:
        context: what the pictures are drawn from.
        pictures: the pictures, with their settings.
        folder: the folder; None: `generated/` in the run folder.

    Args:
        context: of the run.
        pictures: what to draw.
        folder: where to write.

    Raises:
        RunError: a file cannot be written.
    """
    into = context.run.inside("generated") if folder is None else folder
    paths = []
    for picture in pictures:
        try:
            paths.append(picture.save(context.picture_context, into))
        except OSError as error:
            path = into / picture.name
            raise RunError(f"{path} cannot be written ({error.strerror}): set folder to a writable one.") from error
    return paths
