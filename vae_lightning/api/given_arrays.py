"""Images given to `vl.train` or `vl.sweep` as arrays or tensors, saved as files in the folder of the run or sweep."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

from vae_lightning.config.compose import quote
from vae_lightning.errors import InvalidValue, RunError, UserError
from vae_lightning.files import user_path

if TYPE_CHECKING:
    from vae_lightning.data.base import ImageData

LARGEST = 1_000_000_000  # bytes, of all arrays of a run
FOLDER = "data"  # in the run folder


class GivenArrays:
    """Arrays on their way into a run folder.

    They are first written to a hidden folder in `output_dir`, so that the checks of a new run read them like any other files, and
    nothing is left behind if they are refused. The files are moved to the run folder, which is created after the checks.

    Args:
        images: an array, a tensor, or nested lists of numbers.
        labels: the class of each image, numbers or texts, (N,); −1 for an image without one.
        targets: numbers that belong to the images, (N, D); only conditions read them.

    Raises:
        UserError: one of them is not an array, or they are too large to be copied into a run folder.
    """

    def __init__(self, images: object, labels: object = None, targets: object = None) -> None:
        given = {"images": images, "labels": labels, "targets": targets}
        self.arrays = {name: as_array(name, value) for name, value in given.items() if value is not None}
        self.written: Path | None = None
        size = sum(array.nbytes for array in self.arrays.values())
        if size > LARGEST:
            raise UserError(
                f"data has {size / 1e9:.1f} GB, but at most {LARGEST / 1e9:.0f} GB is copied into the run folder: write it to a "
                'file with numpy.save("images.npy", data), and give vl.train "data=arrays" and "data.images=images.npy".'
            )

    def overrides(self, folder: Path = Path(FOLDER)) -> list[str]:
        """Return the overrides that would name these data on a command line, with the files in `folder`."""
        return ["data=arrays", *(f"data.{name}={quote(str(folder / f'{name}.npy'))}" for name in self.arrays)]

    @contextmanager
    def stored(self, config: DictConfig) -> Iterator[None]:
        """Write the arrays to files that the configuration names in this block; at the end, remove those that no run has taken.

        Raises:
            UserError: the error that is raised in the block, without the names of these files.
            RunError: they cannot be written.
        """
        output_dir = user_path("output_dir", config.output_dir)
        made = [path for path in (output_dir, *output_dir.parents) if not path.exists()]
        try:
            output_dir.mkdir(parents=True, exist_ok=True)
            self.written = Path(tempfile.mkdtemp(prefix=".data_", dir=output_dir))
            self._save(self.written)
        except OSError as error:
            self._remove(made)
            raise RunError(
                f"The data cannot be written to {output_dir} ({error.strerror}): set output_dir to a folder you can write to."
            ) from error
        self._name(config, self.written)
        try:
            yield
        except UserError as error:  # the user gave an array, and knows nothing of this folder
            error.args = (str(error).replace(f"{self.written}{os.sep}", ""), *error.args[1:])
            raise
        finally:
            self._remove(made)

    def move(self, folder: Path, config: DictConfig, data: ImageData) -> None:
        """Move the files into the run folder, and change their paths in the configuration.

        Args:
            folder: the run folder.
            config: the complete configuration.
            data: the data set that was read from them.
        """
        assert self.written is not None
        place = folder / FOLDER
        shutil.move(self.written, place)
        self._name(config, place)
        texts = dict(zip(self.overrides(), self.overrides(place), strict=True))
        config.overrides = [texts.get(text, text) for text in config.overrides]
        data.notes = [note.replace(str(self.written), str(place)) for note in data.notes]

    def write(self, folder: Path) -> None:
        """Write the files to `folder`, which all jobs of a sweep read.

        Raises:
            RunError: they cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._save(folder)
        except OSError as error:
            raise RunError(f"The data cannot be written to {folder} ({error.strerror}).") from error

    def _save(self, folder: Path) -> None:
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)

    def _name(self, config: DictConfig, folder: Path) -> None:
        for name in self.arrays:
            config.data[name] = str(folder / f"{name}.npy")

    def _remove(self, made: list[Path]) -> None:
        """Remove the hidden folder, and those of the folders `made` for it that are empty."""
        if self.written is not None:
            shutil.rmtree(self.written, ignore_errors=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()


def as_array(name: str, value: object) -> np.ndarray:
    """Return a NumPy array of numbers, or of texts for labels.

    Raises:
        InvalidValue: it is something else.
    """
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    if np.ma.is_masked(value):
        raise InvalidValue(_argument(name), type(value).__name__, "an array without masked values; fill them, as filled() does")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # lists of unequal lengths
        raise InvalidValue(_argument(name), type(value).__name__, "an array or a tensor") from error
    if array.dtype == object and array.size and all(isinstance(part, str) for part in array.flat):  # from pandas
        array = array.astype(str)
    if array.dtype.kind not in ("biufU" if name == "labels" else "biuf") or array.ndim == 0:
        raise InvalidValue(_argument(name), f"{type(value).__name__} of {array.dtype}", "an array or a tensor of numbers")
    return array


def _argument(name: str) -> str:
    """Return the name of the argument of `vl.train`."""
    return "data" if name == "images" else name
