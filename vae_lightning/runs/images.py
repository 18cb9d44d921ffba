"""The images that a run was trained on, for measuring and drawing it later: from its own configuration, without Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vae_lightning.config.build import build_data
from vae_lightning.data.base import BINARIZE, SPLITS, Batch, ImageData, Images
from vae_lightning.data.binarization import prepare_splits
from vae_lightning.errors import UserError, check_choice
from vae_lightning.runs.folder import Run


def load_data(run: Run, root: str | None = None) -> ImageData:
    """The run's data set, looked for in `root` where one is given."""
    config = run.config.copy()
    if root is not None:
        if "root" not in config.data:
            raise UserError(f"data.root={root} would have no effect: data={config.choices.data} has no root; leave it out.")
        config.data.root = root
    elif "download" in config.data:
        config.data.download = False  # nothing is written to a folder that only the run names
    return build_data(config)


def load_split(run: Run, split: str, root: str | None = None, data: ImageData | None = None) -> Images:
    """One split, binarised as the run's validation and test images are (training images too: drawn once, by example).

    `data`: what `load_data` gave, if it was asked already.
    """
    check_choice("split", split, SPLITS)
    check_choice("binarization", run.config.binarization, BINARIZE)
    data = load_data(run, root) if data is None else data
    images = prepare_splits({split: data.splits()[split]}, run.config.binarization, data.split_seed)[split]
    shape = tuple(images.images.shape[1:])
    if shape != run.data_spec.shape:
        raise UserError(
            f"The images of data={run.config.choices.data} are {_by(shape)} (channels × height × width), and the run was "
            f"trained on {_by(run.data_spec.shape)}: set data.root to where its own lie."
        )
    return images


def iterate_batches(split: Images, batch_size: int, device: torch.device, images: int | None = None) -> Iterator[Batch]:
    """The first `images` of a split (all: None), in order."""
    count = len(split) if images is None else min(images, len(split))
    for places in torch.arange(count).split(batch_size):
        yield split[places].to(device)


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one."""
    check_choice("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no GPU that torch can use; use device=cpu or device=auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_grey_bernoulli(run: Run, support: str) -> bool:
    """Grey pixels under a likelihood of binary ones: its figures are no log-likelihoods."""
    return support == "binary" and str(run.config.binarization) == "none"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
