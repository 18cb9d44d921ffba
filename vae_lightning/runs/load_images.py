"""The images a run was trained on, loaded from its own configuration, without Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from vae_lightning.config.build import build_data
from vae_lightning.config.data_paths import PATH_KEYS
from vae_lightning.data.base import BINARIZE, SPLITS, ImageData
from vae_lightning.data.binarization import prepare_splits
from vae_lightning.data.images import Batch, Images
from vae_lightning.errors import UserError, check_choice, format_value
from vae_lightning.runs.folder import Run
from vae_lightning.runs.trust import forget_cache

Moved = str | Mapping[str, str | None] | None  # where data are now: the folder `root`, or `root`, `images`, `labels`, `targets`


def load_data(run: Run, moved: Moved = None) -> ImageData:
    """Return the run's data set.

    Args:
        run: the run.
        moved: where the data are now: the folder in place of `data.root`, or a mapping of the settings that name folders and
            files, `root`, `images`, `labels` and `targets`; None, also as a value: those that the run used.

    Raises:
        UserError: the data set has no such setting, or cannot be read.
    """
    config = run.config.copy()
    if not run.own:
        forget_cache(config)
    given = {"root": moved} if isinstance(moved, str) else dict(moved or {})
    given = {key: given[key] for key in PATH_KEYS if given.get(key) is not None}
    for key, path in given.items():
        if key not in config.data or isinstance(config.data[key], int):  # an int: data=sprites counts its images
            raise UserError(
                f"data.{key}={format_value(path)} would have no effect: data={config.choices.data} has no {key}; leave it out."
            )
        config.data[key] = path
    if "download" in config.data and "root" not in given:
        config.data.download = False  # never write to a folder that only the run's configuration names
    return build_data(config)


def load_split(run: Run, split: str, moved: Moved = None, data: ImageData | None = None) -> Images:
    """Load one split, binarised as the run's validation and test images are (training images too: once, keyed by example).

    Args:
        run: the run.
        split: `train`, `val` or `test`.
        moved: where the data are now, see `load_data`.
        data: the data set, if `load_data` has been called already.

    Raises:
        UserError: the split is unknown, or the images have another shape than the run's.
    """
    check_choice("split", split, SPLITS)
    check_choice("binarization", run.config.binarization, BINARIZE)
    data = load_data(run, moved) if data is None else data
    images = prepare_splits({split: data.splits()[split]}, run.config.binarization, data.split_seed)[split]
    shape = images.shape
    if shape != run.data_spec.shape:
        key = "images" if isinstance(run.config.data.get("images"), str) else "root"
        raise UserError(
            f"The images of data={run.config.choices.data} are {_by(shape)} (channels × height × width), but the run was "
            f"trained on {_by(run.data_spec.shape)}: set data.{key} to where the images are that it was trained on."
        )
    return images


def iterate_batches(split: Images, batch_size: int, device: torch.device, images: int | None = None) -> Iterator[Batch]:
    """Yield batches of the first `images` images of a split (None: all), in order, on the device.

    Args:
        split: the images.
        batch_size: images in a batch.
        device: where the batches go.
        images: how many of the first images; None for all.
    """
    count = len(split) if images is None else min(images, len(split))
    for indices in torch.arange(count).split(batch_size):
        yield split[indices].to(device)


def choose_device(name: str) -> torch.device:
    """Return the device called `auto` (a GPU if there is one), `cpu` or `cuda`. Raise UserError if there is no GPU."""
    check_choice("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no GPU that torch can use; set device=cpu or device=auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_grey_bernoulli(run: Run, support: str) -> bool:
    """Whether the run has grey pixels but a likelihood of binary ones, so that its values are not log-likelihoods."""
    return support == "binary" and str(run.config.binarization) == "none"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
