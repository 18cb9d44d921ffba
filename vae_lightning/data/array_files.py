"""Arrays in files: NumPy's `.npy` and `.npz`, tensors saved by torch, HDF5, and IDX, told apart by their first bytes.

A file may come from anyone: only ordinary files are opened, nothing in them is run (no pickled objects), and no more is read into
memory than `LARGEST`. `.npy` files and contiguous HDF5 arrays are memory maps, whatever their size.
"""

from __future__ import annotations

import math
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_lightning.data.idx import is_idx, read_idx
from vae_lightning.data.private_apis import is_pickled
from vae_lightning.errors import RunError, UserError, did_you_mean, printable
from vae_lightning.memory import fits, format_bytes
from vae_lightning.readers import begins_as_archive, check_ordinary, check_pickle, check_torch_file

LARGEST = 64 * 2**30  # bytes of the arrays that are read into memory; larger ones have to be memory maps
MOST_KEYS = 1000
NPY, ZIP, HDF5, PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x02"
KINDS = ".npy, .npz, HDF5, a tensor saved by torch (.pt), or IDX"


class ArrayFile(NamedTuple):
    """The arrays in a file, read when asked for.

    Attributes:
        path: the file.
        readers: for each key a function that reads the array; the only key of a file that has none is "".
    """

    path: Path
    readers: dict[str, Callable[[], np.ndarray]]

    def read(self, key: str) -> np.ndarray:
        """The array called `key`. UserError if the file is damaged, or holds something else under this name."""
        named = f"{printable(key)} in {self.path}" if key else str(self.path)
        try:
            array = self.readers[key]()
        except (UserError, MemoryError):
            raise
        except Exception as error:  # damaged files raise anything in NumPy, torch and h5py
            if is_pickled(error):
                raise _pickled(named) from error
            raise UserError(f"{named} is damaged and cannot be read.") from error
        if array.dtype.kind not in "biufcSUO" or (array.dtype.kind == "O" and array.ndim != 1):
            raise UserError(f"{named} is an array of {printable(str(array.dtype))[:80]}, not of numbers.")
        return array

    def choose(self, key: str, option: str) -> str:
        """`key`, if there is an array of this name. UserError, with the keys that there are, if not."""
        if key in self.readers:
            return key
        there = ", ".join(map(printable, list(self.readers)[:12])) if "" not in self.readers else "one array without a key"
        raise UserError(f"{option}={printable(key)}: {self.path} holds {there}.{did_you_mean(key, self.readers)}")


def open_arrays(path: Path, option: str) -> ArrayFile:
    """The arrays in a file, none of them read yet.

    Args:
        path: the file.
        option: the setting that names it, for messages, such as `data.images`.

    Raises:
        UserError: there is no such file, or it is none that is read here.
    """
    try:
        check_ordinary(path)
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError as error:
        raise UserError(f"{option}: there is no file {path}; if it has moved, set {option} to where it is.") from error
    except RunError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    return ArrayFile(path, _readers(path, start, option))


def _readers(path: Path, start: bytes, option: str) -> dict[str, Callable[[], np.ndarray]]:
    try:
        if start.startswith(NPY):
            return {"": lambda: _read_npy(path)}
        if start.startswith(ZIP):
            return _npz(path) or _torch(path)
        if any(start.startswith(HDF5, offset) for offset in (0, 512, 1024, 2048)):
            return _hdf5(path, option)
        if is_idx(start):
            return {"": lambda: read_idx(path)}
        if start.startswith(PICKLE) and path.suffix in (".pt", ".pth"):
            return _torch(path)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged files raise anything in NumPy, torch and h5py
        raise UserError(f"{path} is damaged and cannot be read.") from error
    empty = "is empty" if not start else f"is none of the files that {option} can name"
    raise UserError(f"{path} {empty}: it must be {KINDS}.")


def _pickled(named: str) -> UserError:
    return UserError(
        f"{named} holds Python objects, which are not read because they can run code: save one array of numbers (images of "
        "unequal sizes are no array)."
    )


def _check_size(path: Path, size: int) -> None:
    if size > LARGEST:
        raise UserError(
            f"{path} holds {size / 2**30:,.0f} GB, more than the {LARGEST / 2**30:.0f} that are read into memory: save the array "
            "as .npy, which is read where it lies."
        )
    if not fits(size):
        raise RunError(
            f"{path} holds {format_bytes(size)}, which do not fit into the free memory: save the array as .npy, which is read "
            "where it lies."
        )


def _read_npy(path: Path) -> np.ndarray:
    if path.stat().st_size < 2**20:  # also an empty array, which cannot be mapped
        return np.load(path, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _npz(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """The arrays of an `.npz` file; none if the archive has no `.npy` in it, as torch's have none."""
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}

    def reader(name: str) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            _check_size(path, sizes[name])
            with np.load(path, allow_pickle=False) as arrays:
                return arrays[name.removesuffix(".npy")]

        return read

    return {name.removesuffix(".npy"): reader(name) for name in list(sizes)[:MOST_KEYS] if name.endswith(".npy")}


def _torch(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """A tensor, or the tensors of a mapping or a list, mapped into memory where torch can."""
    import pickle

    import torch

    try:
        if begins_as_archive(path):
            check_torch_file(path, path.stat().st_size)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:  # a file of torch before 1.6: five pickles, and then the numbers
            _check_size(path, path.stat().st_size)
            if tarfile.is_tarfile(path):  # torch would unpack it
                raise UserError(f"{path} is an archive of a very old torch, and is not read: save it again.")
            with path.open("rb") as file:
                for _ in range(5):
                    check_pickle(path, file)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except RunError as error:
        raise UserError(f"{str(error).removesuffix('.')}: save a tensor, or a dict of tensors.") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors (or is damaged) and is not read: save a tensor, or a dict of tensors."
        ) from error
    if isinstance(content, torch.Tensor):
        content = {"": content}
    if isinstance(content, list | tuple):
        content = {str(i): part for i, part in enumerate(content)}
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise UserError(f"{path} holds no tensor: save a tensor, or a dict of tensors.")
    return {name: lambda tensor=tensor: _numpy(tensor, path) for name, tensor in tensors.items()}  # type: ignore[misc]


def _numpy(tensor: Any, path: Path) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():  # a terabyte can be made of one number
        raise UserError(f"{path} holds a tensor whose numbers share their memory: save a copy of it (tensor.contiguous()).")
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _hdf5(path: Path, option: str) -> dict[str, Callable[[], np.ndarray]]:
    """The arrays of an HDF5 file, with their groups: `train/images`. No links to other files are followed."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(
            f"{option}={path} is an HDF5 file, which the package h5py reads: pip install 'vae-lightning[hdf5]'."
        ) from error
    found: dict[str, Callable[[], np.ndarray]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and len(found) < MOST_KEYS:
            found[name] = lambda: _read_hdf5(path, name)

    with h5py.File(path, "r") as file:
        file.visititems(visit)  # follows no soft and external links
    if not found:
        raise UserError(f"{path} holds no arrays.")
    return found


def _read_hdf5(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        data = file[name]
        if data.is_virtual or data.external:
            raise UserError(f"{printable(name)} in {path} refers to another file, and is not read.")
        offset = data.id.get_offset()
        if offset is not None and data.size > 2**20 and data.dtype.kind in "biuf":
            return np.memmap(path, data.dtype, "r", offset + file.userblock_size, data.shape)
        _check_size(path, math.prod(data.shape) * data.dtype.itemsize)
        array = data[()]
    return array if isinstance(array, np.ndarray) else np.asarray(array)
