"""`data=mnist`, `data=fashion_mnist` and `data=kmnist`: the official files in torchvision's layout, downloaded if missing."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Unpack

from vae_lightning.data.base import DataSettings
from vae_lightning.data.idx import find_idx, read_idx
from vae_lightning.data.images import Images, images_from_arrays
from vae_lightning.data.published import DownloadedData
from vae_lightning.errors import UserError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MNIST(DownloadedData):
    """70,000 digits, 28×28 (LeCun et al. 1998): 50,000 train, 10,000 val, and the official 10,000 as test.

    Train and val are a `stratified_split` of the official training images, shuffled with `split_seed`.

    Args:
        root: the folder that holds, or receives, `MNIST/raw/train-images-idx3-ubyte` and the other files.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder: ClassVar[str] = "MNIST"
    home = "https://yann.lecun.com/exdb/mnist"
    kind = "binary"

    def __init__(
        self,
        root: str = "data",
        download: bool = True,
        val_size: int = 10000,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, val_size, **settings)

    def files(self) -> dict[str, tuple[str, str]]:
        """The names of the files with images and labels, of `train` and `test`."""
        return FILES

    def load(self) -> dict[str, Images]:
        raw = self.root / self.folder / "raw"
        names = [name for pair in self.files().values() for name in pair]
        self.obtain(lambda: [name for name in names if find_idx(raw / name) is None], f"{self.folder}/raw")
        return self.share_out(*(self.read(raw, *self.files()[split]) for split in ("train", "test")))

    def read(self, raw: Path, images: str, labels: str) -> Images:
        """Read a pair of files; they must hold as many labels as images, and at least one."""
        arrays = [read_idx(find_idx(raw / name) or raw / name, rank) for name, rank in ((images, 3), (labels, 1))]
        if len(arrays[0]) != len(arrays[1]) or arrays[0].size == 0:
            raise UserError(f"{raw / images} holds {len(arrays[0])} images, and {raw / labels} {len(arrays[1])} labels.")
        return images_from_arrays(*arrays)

    def fetch(self) -> None:
        from torchvision import datasets  # seconds to import, and needed only here

        getattr(datasets, self.folder)(str(self.root), download=True)


class FashionMNIST(MNIST):
    """70,000 pictures of clothes, 28×28, ten classes (Xiao et al. 2017), split like MNIST."""

    folder = "FashionMNIST"
    home = "https://github.com/zalandoresearch/fashion-mnist"
    class_names = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class KMNIST(MNIST):
    """70,000 cursive Japanese characters of ten kinds, 28×28 (Clanuwat et al. 2018), split like MNIST."""

    folder = "KMNIST"
    home = "https://codh.rois.ac.jp/kmnist"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
