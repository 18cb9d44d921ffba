"""The picture of README's section on one's own images: `python docs/own_images.py` (minutes).

Cuts patches from the two photographs that scikit-learn ships into a folder of PNG files, one folder for each photograph, trains
on it as anybody would on a folder of pictures, and keeps the reconstructions of the validation patches in `docs/images/`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

DOCS = Path(__file__).parent
PATCH, STEP = 64, 12  # pixels
OVERRIDES = ("data.size=32", "model=conv", "latent_dim=64", "trainer.max_epochs=30", "data.batch_size=64")


def cut_patches(root: Path) -> None:
    """Overlapping square patches of each photograph."""
    found = load_sample_images()
    for name, photograph in zip(found.filenames, found.images, strict=True):
        folder = root / Path(name).stem
        folder.mkdir(parents=True)
        height, width = photograph.shape[:2]
        for top in range(0, height - PATCH + 1, STEP):
            for left in range(0, width - PATCH + 1, STEP):
                patch = photograph[top : top + PATCH, left : left + PATCH]
                Image.fromarray(patch).save(folder / f"{top}-{left}.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut_patches(folder / "pictures")
        command = [sys.executable, str(DOCS.parent / "train.py"), "data=folder", "data.root=pictures", "data.cache=cache"]
        subprocess.run([*command, *OVERRIDES, "callbacks=minimal", "logger=none"], cwd=folder, check=True)
        (figure,) = folder.glob("outputs/*/*/figures/reconstructions.png")
        with Image.open(figure) as picture:
            small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            small.save(DOCS / "images" / "own_images.png", optimize=True)


if __name__ == "__main__":
    main()
