"""Drawing a trained run: for generate.py and from Python alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from vae_lightning.data.base import Images
from vae_lightning.errors import RunError
from vae_lightning.evaluation.elbo import evaluate_elbo
from vae_lightning.models.vae import VAE
from vae_lightning.plots.registry import PictureContext
from vae_lightning.runs.folder import Run, load_vae
from vae_lightning.runs.load_images import choose_device, iterate_batches, load_split
from vae_lightning.runs.picture_settings import PICTURE_SETTINGS, RunPicture

KL_IMAGES = 2000  # by which latent dimensions are sorted


@dataclass
class DrawingContext:
    """A run to draw: its VAE on `device`, and a split of its images, loaded when first asked for.

    Args:
        run: as `find_run` gives it.
        vae: its VAE.
        device: where the VAE is.
        split_name: `train`, `val` or `test`.
        data_root: where the data are now; None: where the run had them.
        seed: of samples.
    """

    run: Run
    vae: VAE
    device: torch.device
    split_name: str = "test"
    data_root: str | None = None
    seed: int = 0

    @cached_property
    def split(self) -> Images:
        """The images of the split."""
        return load_split(self.run, self.split_name, self.data_root)

    @cached_property
    def picture_context(self) -> PictureContext:
        """What `plots.registry` draws from; images and KL are loaded when a picture first needs them."""
        names = self.run.data_spec.class_names
        return PictureContext(
            self.vae, lambda: self.split, self.split_name, load_kl=self.kl_per_dimension, seed=self.seed, class_names=names
        )

    def kl_per_dimension(self) -> list[float] | None:
        """Nats in each latent dimension, over the first images; None where q or p does not factorise."""
        batches = iterate_batches(self.split, 500, self.device, KL_IMAGES)
        return evaluate_elbo(self.vae, batches, self.split_name).kl_per_dimension()


def draw_run(
    run: Run,
    what: Sequence[RunPicture] | None = None,
    folder: Path | None = None,
    *,
    split: str = "test",
    data_root: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> list[Path]:
    """Draws pictures of a run.

    Args:
        run: as `find_run` gives it.
        what: the pictures, such as `[SamplesPicture(rows=4)]`; None: all that this run can have.
        folder: where to write; None: `generated/` in the run folder.
        split: where images to encode are taken from.
        data_root: where the data are now; None: where the run had them.
        device: `auto`, `cpu` or `cuda`.
        seed: of samples.

    Returns:
        The paths of the files.

    Raises:
        UserError: this run cannot have one of the pictures, or lacks the images for it.
        RunError: a file is damaged or cannot be written.
    """
    context = prepare_drawing(run, split, data_root, device, seed)
    return save_pictures_of(context, choose_pictures(context, what), folder)


def prepare_drawing(run: Run, split: str, data_root: str | None, device: str, seed: int) -> DrawingContext:
    """Loads the run's VAE; the arguments are those of `draw_run`."""
    torch_device = choose_device(device)
    return DrawingContext(run, load_vae(run).to(torch_device), torch_device, split, data_root, seed)


def choose_pictures(context: DrawingContext, what: Sequence[RunPicture] | None) -> Sequence[RunPicture]:
    """`what`, if this run can have it; None: every picture that it can have, with default settings.

    Raises:
        UserError: the run cannot have one of the pictures.
    """
    if what is None:
        return [picture for picture in (make() for make in PICTURE_SETTINGS.values()) if picture.applies_to(context)]
    for picture in what:
        picture.check(context)
    return what


def save_pictures_of(context: DrawingContext, pictures: Sequence[RunPicture], folder: Path | None = None) -> list[Path]:
    """Draws each picture and writes it to the folder (by default `generated/` in the run folder).

    Raises:
        RunError: a file cannot be written.
    """
    into = context.run.inside("generated") if folder is None else folder
    paths = []
    for picture in pictures:
        try:
            paths.append(picture.save(context, into))
        except OSError as error:
            path = into / picture.name
            raise RunError(f"{path} cannot be written ({error.strerror}): set folder to one that can.") from error
    return paths
