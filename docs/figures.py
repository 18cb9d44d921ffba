"""Draw the figures of docs/how_it_works.md into docs/images/how/: `make docs-figures`, or `python docs/figures.py kl beta`.

Small models on the 5,000 bundled digits; all figures together take a few minutes on a CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

from drawings import ideas, models
from matplotlib.figure import Figure
from PIL import Image

FOLDER = Path(__file__).parent / "images" / "how"
PICTURES = (ideas.trick, ideas.estimators, ideas.posterior, ideas.kl, models.beta, models.autoencoder, models.collapse)


def save(figure: Figure, path: Path) -> None:
    """Save as a PNG with few colours, to keep the file small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main(names: list[str]) -> None:
    known = [picture.__name__ for picture in PICTURES]
    for name in names:
        if name not in known:
            sys.exit(f"error: {name}: unknown figure. Figures: {', '.join(known)}.")
    for picture in PICTURES:
        if not names or picture.__name__ in names:
            save(picture(), FOLDER / f"{picture.__name__}.png")
            sys.stderr.write(f"{picture.__name__}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
