"""What data sets with published files share: where files are looked for, how they are downloaded, how images are spread."""

from __future__ import annotations

import errno
import tarfile
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.base import DataSettings, ImageData, stratified_split
from vae_lightning.data.images import Images
from vae_lightning.errors import InvalidValue, RunError, UserError, check_bool, is_out_of_memory
from vae_lightning.files import user_path

WAY_ROUND = "or use data=mnist5k, which needs no download"


class PublishedData(ImageData):
    """A data set that is read from its published files, in the folder `root`.

    Attributes:
        home: where the files can be had.

    Args:
        root: the folder that holds the files.

    See `ImageData` for the other arguments.
    """

    home: ClassVar[str]

    def __init__(
        self,
        root: str,
        val_size: int | None,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(val_size, **settings)
        if not isinstance(root, str) or not root:
            raise InvalidValue("root", root, "a folder")
        self.root = user_path("data.root", root)

    def locate(self, names: Sequence[str], folders: Sequence[str]) -> Path:
        """The first of the files `names` that is in one of `folders` of the root; UserError if none is."""
        places = [self.root / folder for folder in folders]
        for place in places:
            for name in names:
                if (place / name).exists():
                    return place / name
        where = " and ".join(str(place.absolute()) for place in places)
        raise UserError(
            f"{' or '.join(names)} not found in {where}: get it from {self.home} and set data.root to its folder, {WAY_ROUND}."
        )

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """What fails in this block ends in one sentence that names `path`."""
        try:
            yield
        except RunError as error:
            raise UserError(str(error)) from error
        except UserError:
            raise
        except OSError as error:
            if error.strerror:
                raise UserError(f"{path} cannot be read ({error.strerror}).") from error
            raise self._damaged(path) from error
        except Exception as error:  # the readers of formats raise whatever they met
            if is_out_of_memory(error):
                raise
            raise self._damaged(path) from error

    def _damaged(self, path: Path) -> UserError:
        return UserError(f"{path} is damaged and cannot be read: delete it and get it again from {self.home}.")

    def share_out(self, train: Images, test: Images) -> dict[str, Images]:
        """The three splits: val is a stratified share of the official training images."""
        indices = stratified_split(train.labels.numpy(), {"val": self.val_size}, self.split_seed)
        parts = {name: Images(train.images[i], train.labels[i], _rows(train.factors, i)) for name, i in indices.items()}
        return {**parts, "test": test}


class DownloadedData(PublishedData):
    """A data set whose files torchvision, or another package, can download into `root`.

    Args:
        root: the folder that holds the files, or receives them.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    def __init__(
        self,
        root: str,
        download: bool,
        val_size: int | None,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, val_size, **settings)
        self.download = check_bool("download", download)

    @abstractmethod
    def fetch(self) -> None:
        """Download everything into `root`."""

    def obtain(self, absent: Callable[[], list[str]], folder: str) -> None:
        """Download missing files, once.

        Args:
            absent: names the files that are missing.
            folder: of the root, where they are looked for; empty for the root itself.

        Raises:
            UserError: they are missing still; it names the files, the folder and the alternative.
        """
        names, place = absent(), self.root / folder
        if not names:
            return
        reason = "data.download=false prevents downloading"
        if self.download:
            reason = self._try_to_fetch(place)
            if not reason and not (names := absent()):
                return
        holds = f"the folder that holds {folder}" if folder else "their folder"
        raise UserError(
            f"{', '.join(names)} not found in {place.absolute()}, and {reason or 'the download did not bring them'}: "
            f"set data.root to {holds}, {WAY_ROUND}."
        )

    def _try_to_fetch(self, place: Path) -> str:
        """Why the download failed; empty if it did not."""
        try:
            self.fetch()
            return ""
        except PermissionError as error:
            return f"{error.filename} cannot be written ({error.strerror})"
        except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
            if isinstance(error, OSError) and error.errno == errno.EROFS:
                return f"{place} is read-only"
            if isinstance(error.__context__, ModuleNotFoundError) and error.__context__.name == "gdown":
                return "downloading from Google Drive needs the package gdown"
            if isinstance(error.__cause__, ImportError):
                return str(error)
            return f"the download failed ({getattr(error, 'strerror', None) or 'is there a network?'})"


def spread(
    blocks: Iterable[np.ndarray], indices: Mapping[str, np.ndarray], count: int, shape: tuple[int, int, int]
) -> dict[str, Tensor]:
    """The images of each split, from blocks that are read one after the other, so that no image is held twice.

    Args:
        blocks: uint8 (n, C, H, W), together the `count` images of the files, in order.
        indices: of each split's images; those in none are left out.
        count: of all images.
        shape: of an image (C, H, W).

    Raises:
        ValueError: the blocks hold more or fewer images.
    """
    owner, place = np.full(count, -1), np.zeros(count, dtype=np.int64)
    for number, chosen in enumerate(indices.values()):
        owner[chosen], place[chosen] = number, np.arange(len(chosen))
    found = {name: np.empty((len(chosen), *shape), dtype=np.uint8) for name, chosen in indices.items()}
    first = 0
    for block in blocks:
        mine, where = owner[first : first + len(block)], place[first : first + len(block)]
        for number, name in enumerate(indices):
            taken = mine == number
            found[name][where[taken]] = block[taken]
        first += len(block)
    if first != count:
        raise ValueError(f"{first} images instead of {count}")
    return {name: torch.from_numpy(images) for name, images in found.items()}


def check_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels 0 … `classes` − 1 as int64 (N,); ValueError if one is outside."""
    labels = np.asarray(labels).astype(np.int64).reshape(-1)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"a label is not in 0 … {classes - 1}")
    return labels


def _rows(factors: Tensor | None, indices: np.ndarray) -> Tensor | None:
    return None if factors is None else factors[torch.from_numpy(indices)]
