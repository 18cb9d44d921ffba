"""`data=mnist` and `data=fashion_mnist`: the official files in torchvision's layout, downloaded by torchvision if missing."""

from __future__ import annotations

import errno
from pathlib import Path

from vae_lightning.data.base import ImageData, Images, images_from_arrays, stratified_split
from vae_lightning.data.idx import find_idx, read_idx
from vae_lightning.errors import InvalidValue, UserError, check_bool
from vae_lightning.files import user_path

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MNIST(ImageData):
    """70,000 digits, 28×28 (LeCun et al. 1998): 50,000 train, 10,000 val, and the official 10,000 as test.

    Train and val are a `stratified_split` of the official training images, shuffled with `split_seed`.

    Args:
        root: the folder that holds, or receives, `MNIST/raw/train-images-idx3-ubyte` and the other files.
        download: whether to download missing files.

    See `ImageData` for the other arguments.
    """

    folder = "MNIST"
    kind = "binary"

    def __init__(
        self,
        root: str = "data",
        download: bool = True,
        val_size: int = 10000,
        split_seed: int = 0,
        binarize: str = "auto",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        num_workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(val_size, split_seed, binarize, batch_size, eval_batch_size, num_workers, drop_last)
        if not isinstance(root, str) or not root:
            raise InvalidValue("root", root, "a folder")
        self.root, self.download = user_path("data.root", root), check_bool("download", download)

    def load(self) -> dict[str, Images]:
        raw = self.root / self.folder / "raw"
        self._fetch(raw)
        train, test = (self._read(raw, *names) for names in FILES.values())
        indices = stratified_split(train.labels.numpy(), {"val": self.val_size}, self.split_seed)
        return {**{name: Images(train.images[i], train.labels[i]) for name, i in indices.items()}, "test": test}

    def _read(self, raw: Path, images: str, labels: str) -> Images:
        """Read a pair of files; they must hold as many labels as images, and at least one."""
        arrays = [read_idx(find_idx(raw / name) or raw / name, rank) for name, rank in ((images, 3), (labels, 1))]
        if len(arrays[0]) != len(arrays[1]) or arrays[0].size == 0:
            raise UserError(f"{raw / images} holds {len(arrays[0])} images, and {raw / labels} {len(arrays[1])} labels.")
        return images_from_arrays(*arrays)

    def _fetch(self, raw: Path) -> None:
        """Download missing files; a failure names the files, the folder and the alternative."""
        absent = [name for pair in FILES.values() for name in pair if find_idx(raw / name) is None]
        if not absent:
            return
        reason = "data.download=false prevents downloading"
        if self.download:
            from torchvision import datasets  # seconds to import, and needed only here

            try:
                getattr(datasets, self.folder)(str(self.root), download=True)
                return
            except PermissionError as error:
                reason = f"{error.filename} cannot be written ({error.strerror})"
            except (OSError, RuntimeError) as error:
                read_only = isinstance(error, OSError) and error.errno == errno.EROFS
                failed = f"the download failed ({getattr(error, 'strerror', None) or 'is there a network?'})"
                reason = f"{raw} is read-only" if read_only else failed
        raise UserError(
            f"{', '.join(absent)} not found in {raw.absolute()}, and {reason}: set data.root to the folder that holds "
            f"{self.folder}/raw, or use data=mnist5k, which needs no download."
        )


class FashionMNIST(MNIST):
    """70,000 pictures of clothes, 28×28, ten classes (Xiao et al. 2017), split like MNIST."""

    folder = "FashionMNIST"
