"""The images a run was trained on, loaded from its own configuration, without Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vae_lightning.config.build import build_data
from vae_lightning.data.base import BINARIZE, SPLITS, Batch, ImageData, Images
from vae_lightning.data.binarization import prepare_splits
from vae_lightning.errors import UserError, check_choice
from vae_lightning.runs.folder import Run
from vae_lightning.runs.trust import forget_cache


def load_data(run: Run, root: str | None = None) -> ImageData:
    """The run's data set, from the folder `root` if one is given. UserError if the data set has no root."""
    config = run.config.copy()
    if not run.own:
        forget_cache(config)
    if root is not None:
        if "root" not in config.data:
            raise UserError(f"data.root={root} would have no effect: data={config.choices.data} has no root; leave it out.")
        config.data.root = root
    elif "download" in config.data:
        config.data.download = False  # never write to a folder that only the run's configuration names
    return build_data(config)


def load_split(run: Run, split: str, root: str | None = None, data: ImageData | None = None) -> Images:
    """Loads one split, binarised as the run's validation and test images are (training images too: once, keyed by example).

    Args:
        run: the run.
        split: `train`, `val` or `test`.
        root: the data folder; None: where the run had it.
        data: the data set, if `load_data` has been called already.

    Raises:
        UserError: an unknown split, or images of another shape than the run's.
    """
    check_choice("split", split, SPLITS)
    check_choice("binarization", run.config.binarization, BINARIZE)
    data = load_data(run, root) if data is None else data
    images = prepare_splits({split: data.splits()[split]}, run.config.binarization, data.split_seed)[split]
    shape = images.shape
    if shape != run.data_spec.shape:
        raise UserError(
            f"The images of data={run.config.choices.data} are {_by(shape)} (channels × height × width), but the run was "
            f"trained on {_by(run.data_spec.shape)}: set data.root to the folder of the images it was trained on."
        )
    return images


def iterate_batches(split: Images, batch_size: int, device: torch.device, images: int | None = None) -> Iterator[Batch]:
    """Batches of the first `images` images of a split (None: all), in order, on the device."""
    count = len(split) if images is None else min(images, len(split))
    for indices in torch.arange(count).split(batch_size):
        yield split[indices].to(device)


def choose_device(name: str) -> torch.device:
    """The device called `auto` (a GPU if there is one), `cpu` or `cuda`. UserError if there is no GPU."""
    check_choice("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no GPU that torch can use; use device=cpu or device=auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_grey_bernoulli(run: Run, support: str) -> bool:
    """Whether grey pixels meet a likelihood of binary ones, so that its values are not log-likelihoods."""
    return support == "binary" and str(run.config.binarization) == "none"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
