"""The picture of README's section on one's own images: `python docs/own_images.py` (minutes on one core).

Cuts patches from photographs that scikit-learn and scikit-image ship into a folder of PNG files, with a folder for each
photograph, and trains on it as anybody would on a folder of pictures. Patches of one split overlap, but validation and test
patches come from the right quarter of each photograph, which no training patch shows. The picture shows test patches with their
reconstructions, and samples.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

import vae_lightning as vl

PICTURE = Path(__file__).parent / "images" / "own_images.png"
PATCH, STEP = 64, 8  # pixels
TRAINING = 0.75  # of the width of a photograph
FLAT = 20  # the least standard deviation of a patch in a channel: a clear sky shows nothing
OVERRIDES = ("data=folder", "data.root=pictures", "data.cache=cache", "data.size=32", "model=conv", "latent_dim=64")
COLOURS = 256  # of the palette of the picture


def photographs() -> dict[str, np.ndarray]:
    """The photographs, uint8 (height, width, 3), by name."""
    found = load_sample_images()
    named = {Path(name).stem: image for name, image in zip(found.filenames, found.images, strict=True)}
    return {**named, "cat": data.chelsea(), "coffee": data.coffee(), "tissue": data.immunohistochemistry()}


def patches(photograph: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """The split, place and pixels of each square patch that is not flat."""
    height, width = photograph.shape[:2]
    border = int(TRAINING * width)
    for top in range(0, height - PATCH + 1, STEP):
        for left in range(0, width - PATCH + 1, STEP):
            patch = photograph[top : top + PATCH, left : left + PATCH]
            if patch.std((0, 1)).mean() <= FLAT or left < border < left + PATCH:
                continue
            split = "train" if left < border else "test" if top < height // 2 else "val"
            yield split, f"{top}-{left}", patch


def write_patches(root: Path) -> None:
    """Write `<split>/<photograph>/<top>-<left>.png`."""
    for name, photograph in photographs().items():
        for split, place, patch in patches(photograph):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(patch).save(folder / f"{place}.png")


def one_below_the_other(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures stacked on white, of the width of the widest."""
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture.convert("RGB"), ((whole.width - picture.width) // 2, top))
        top += picture.height
    return whole


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_patches(Path("pictures"))
        run = vl.train(*OVERRIDES, "data.batch_size=64", "trainer.max_epochs=30", "callbacks=minimal", "logger=none")
        drawn = one_below_the_other([run.figure("reconstructions", count=20), run.figure("samples", rows=2, columns=10)])
        os.chdir(PICTURE.parent)
    drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
