"""`data=medmnist data.name=pathmnist`: medical images in MedMNIST's files, which the package medmnist downloads if missing."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from vae_lightning.data.base import SPLITS, DataSettings
from vae_lightning.data.images import Images
from vae_lightning.data.npz import array_blocks, array_shape, read_array
from vae_lightning.data.published import DownloadedData, check_labels, spread
from vae_lightning.errors import InvalidValue, check_choice

ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right",
    "pancreas", "spleen",
)  # fmt: skip
CLASSES: dict[str, tuple[str, ...]] = {
    "pathmnist": (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
        "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": (),  # 14 findings, any number of which may be present
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
        "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions",
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        "basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil", "platelet",
    ),
    "tissuemnist": (
        "collecting duct, connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
        "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments", "thick ascending limb",
    ),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}  # fmt: skip
SIZES = (28, 64, 128, 224)


class MedMNIST(DownloadedData):
    """Twelve sets of medical images, grey or colour, from 780 to 236,386 of them (Yang et al. 2023), with their official splits.

    The labels are the classes; the 14 findings of `chestmnist` are `targets` of 0 and 1, and its labels −1.

    Args:
        root: the folder that holds, or receives, files such as `pathmnist.npz`, or `pathmnist_64.npz` of another size; they may
            also be in `medmnist/`.
        name: of the set.
        size: 28, 64, 128 or 224 pixels.
        download: whether to download a missing file, which needs the package medmnist.

    See `ImageData` for the other arguments.
    """

    home = "https://medmnist.com"

    def __init__(
        self,
        root: str = "data",
        name: str = "pathmnist",
        size: int = 28,
        download: bool = True,
        **settings: Unpack[DataSettings],
    ) -> None:
        super().__init__(root, download, None, **settings)
        self.name = check_choice("name", name, tuple(CLASSES))
        self.class_names = CLASSES[name] or None
        if size not in SIZES:
            raise InvalidValue("size", size, "28, 64, 128 or 224")
        self.size = size

    def load(self) -> dict[str, Images]:
        file = f"{self.name}.npz" if self.size == 28 else f"{self.name}_{self.size}.npz"
        places = [self.root / file, self.root / "medmnist" / file]
        self.obtain(lambda: [] if any(place.exists() for place in places) else [file], "")
        path = next(place for place in places if place.exists())
        with self.reading(path):
            splits = {split: self._read(path, split) for split in SPLITS}
        self.kind = "colour" if splits["train"].images.shape[1] == 3 else "grey"
        return splits

    def _read(self, path: Path, split: str) -> Images:
        shape, labels = array_shape(path, f"{split}_images"), read_array(path, f"{split}_labels")
        count = shape[0]
        if shape[1:] not in ((self.size, self.size), (self.size, self.size, 3)) or len(labels) != count:
            raise ValueError(f"images {shape} and {len(labels)} labels")
        blocks = (_channels_first(block) for block in array_blocks(path, f"{split}_images"))
        channels = 3 if len(shape) == 4 else 1
        images = spread(blocks, {split: np.arange(count)}, count, (channels, self.size, self.size))[split]
        if not self.class_names:
            return Images(images, torch.full((count,), -1), targets=torch.from_numpy(labels.astype(np.float32)))
        return Images(images, torch.from_numpy(check_labels(labels, len(self.class_names))))

    def fetch(self) -> None:
        try:
            import medmnist
        except ImportError as error:
            raise RuntimeError("downloading it needs the package medmnist (pip install 'vae-lightning[medmnist]')") from error
        self.root.mkdir(parents=True, exist_ok=True)
        published = getattr(medmnist, medmnist.INFO[self.name]["python_class"])
        published(split="train", root=str(self.root), size=self.size, download=True)


def _channels_first(block: np.ndarray) -> np.ndarray:
    if block.dtype != np.uint8:
        raise ValueError(f"pixels of {block.dtype}")
    return block.transpose(0, 3, 1, 2) if block.ndim == 4 else block[:, None]
