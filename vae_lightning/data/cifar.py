"""`data=cifar10` and `data=cifar100`: small colour photographs in torchvision's layout, downloaded by torchvision if missing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np

from vae_lightning.data.base import DataSettings
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.published import DownloadedData, check_labels
from vae_lightning.readers import read_bytes

LARGEST = 512 * 2**20  # bytes of a file; the training file of CIFAR-100 has 155 MB
FINE = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge",
    "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster",
    "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea",
    "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip


class CIFAR10(DownloadedData):
    """60,000 colour photographs, 32×32, ten classes (Krizhevsky 2009): 45,000 train, 5,000 val, and the official 10,000 as test.

    Train and val are a `stratified_split` of the official training images.

    Args:
        root: the folder that holds, or receives, `cifar-10-batches-py/data_batch_1` and the other files.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder: ClassVar[str] = "cifar-10-batches-py"
    files: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test": ("test_batch",),
    }
    label_key = "labels"
    home = "https://www.cs.toronto.edu/~kriz/cifar.html"
    kind = "colour"
    class_names: tuple[str, ...] = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        root: str = "data",
        download: bool = True,
        val_size: int = 5000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)

    def load(self) -> dict[str, Images]:
        folder = self.root / self.folder
        names = [name for split in self.files.values() for name in split]
        self.obtain(lambda: [name for name in names if not (folder / name).exists()], self.folder)
        return self.share_out(*(self._read(folder, self.files[split]) for split in ("train", "test")))

    def _read(self, folder: Path, names: tuple[str, ...]) -> Images:
        images, labels = [], []
        for name in names:
            with self.reading(folder / name):
                content = read_pickle(read_bytes(folder / name, LARGEST))
                part = content["data"].array().reshape(-1, 3, 32, 32)
                found = check_labels(np.array(content[self.label_key]), len(self.class_names))
                if len(found) != len(part):
                    raise ValueError(f"{len(part)} images but {len(found)} labels")
            images.append(part.transpose(0, 2, 3, 1))
            labels.append(found)
        return images_from_arrays(np.concatenate(images), np.concatenate(labels))

    def fetch(self) -> None:
        from torchvision import datasets

        getattr(datasets, type(self).__name__)(str(self.root), download=True)


class CIFAR100(CIFAR10):
    """60,000 colour photographs, 32×32, of 100 classes (Krizhevsky 2009), split like CIFAR-10.

    Args:
        root: the folder that holds, or receives, `cifar-100-python/train` and `test`.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder = "cifar-100-python"
    files: ClassVar[dict[str, tuple[str, ...]]] = {"train": ("train",), "test": ("test",)}
    label_key = "fine_labels"
    class_names = FINE


class _Array:
    """What NumPy's pickles say about an array; nothing of NumPy is called with it."""

    dtype: Any = None
    content: Any = b""
    shape: Any = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, in_columns, self.content = state
        if in_columns:
            raise ValueError("an array in columns")

    def array(self) -> np.ndarray:
        if self.dtype.name not in ("u1", "uint8"):
            raise ValueError(f"pixels of type {self.dtype.name}")
        content = self.content.encode("latin-1") if isinstance(self.content, str) else self.content
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)


class _Type:
    """The type of an array, by name; what else a pickle says about it is ignored."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        pass


_NUMPY: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return _NUMPY[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_pickle(content: bytes) -> dict[str, Any]:
    """A published batch, by key: plain data, and arrays as `_Array`. A pickle can name any code; this one runs none."""
    found = _Unpickler(BytesIO(content), encoding="latin1").load()
    if not isinstance(found, dict):
        raise ValueError("no dictionary")
    return found
